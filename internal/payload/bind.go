package payload

import (
	"reflect"
)

// Bound is a resource with typed parameters.
type Bound struct {
	Resource Resource
	// Parameters is a pointer to a new struct of the type's Parameters.
	Parameters any
	// Identities name what the resource changes, as KIND/NAME.
	Identities []string
}

// Bind decodes the parameters of every resource, once package resolve has
// replaced the references. What a reference brought is checked here as Parse
// checks what stands in the payload. References to secrets stay in the structs
// as they are. The resources come in the order of the document; either they or
// the problems are nil.
func Bind(doc *Document, types Types) ([]Bound, Problems) {
	p := &parser{types: types, same: newIdentities()}
	var bound []Bound
	for _, layer := range doc.Layers {
		for _, r := range layer.Resources {
			if b, ok := p.bind(r); ok {
				bound = append(bound, b)
			}
		}
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return bound, nil
}

func (p *parser) bind(r Resource) (Bound, bool) {
	typ, ok := p.types.find(r.Type)
	if !ok {
		p.add(r.Pointer+"/resourceType", quote(r.Type), "there is no resource type "+quote(r.Type), "")
		return Bound{}, false
	}
	fields := mustFields(typ.Parameters)
	before := len(p.problems)
	p.absent(r.Pointer+"/parameters", typ.Name, fields, r.Parameters)
	target := reflect.New(typ.Parameters)
	p.assign(fields, r.Parameters, target.Elem(), secretReferences)
	var locked []string
	if len(p.problems) == before {
		p.cross(target.Interface(), r)
		locked = p.identify(target.Interface(), r)
	}
	p.problems = append(p.problems, p.same.add(r, fields)...)
	return Bound{r, target.Interface(), append(identitiesOf(r, fields), locked...)}, true
}
