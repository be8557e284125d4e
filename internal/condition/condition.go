// Package condition evaluates the ConditionExpressions that this product sends to
// DynamoDB, so that what the lab and the tests obey is the text that is sent. What
// it does not know is an error, never a match.
//
// Sources: the chapters "Condition and filter expressions" and "Expression
// attribute names" of the Amazon DynamoDB Developer Guide.
package condition

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Met reports whether an item, nil for none, meets an expression; without one
// everything does. It knows attribute_not_exists(#name), #name = :value and
// #name < :value of texts, joined by AND, joined by OR. A name or a value that
// is not given, or given in vain, is an error, as it is in DynamoDB.
func Met(expression *string, names map[string]string, values, item map[string]types.AttributeValue) (bool, error) {
	if expression == nil {
		return true, nil
	}
	used := map[string]bool{}
	met := false
	for _, alternative := range strings.Split(aws.ToString(expression), " OR ") {
		all := true
		for _, text := range strings.Split(alternative, " AND ") {
			holds, err := one(text, names, values, item, used)
			if err != nil {
				return false, err
			}
			all = all && holds
		}
		met = met || all
	}
	for name := range names {
		if !used[name] {
			return false, fmt.Errorf("%s is not in the expression %q", name, *expression)
		}
	}
	for value := range values {
		if !used[value] {
			return false, fmt.Errorf("%s is not in the expression %q", value, *expression)
		}
	}
	return met, nil
}

// one evaluates one condition, and notes which names and values it uses.
func one(text string, names map[string]string, values, item map[string]types.AttributeValue, used map[string]bool) (bool, error) {
	attribute := func(name string) (types.AttributeValue, error) {
		used[name] = true
		if names[name] == "" {
			return nil, fmt.Errorf("the name %s is not given", name)
		}
		return item[names[name]], nil
	}
	if name, ok := strings.CutPrefix(text, "attribute_not_exists("); ok && strings.HasSuffix(name, ")") {
		has, err := attribute(strings.TrimSuffix(name, ")"))
		return has == nil, err
	}
	words := strings.Split(text, " ")
	if len(words) != 3 || words[1] != "=" && words[1] != "<" {
		return false, fmt.Errorf("the condition %q is not known here", text)
	}
	has, err := attribute(words[0])
	if err != nil {
		return false, err
	}
	used[words[2]] = true
	asked, ok := values[words[2]].(*types.AttributeValueMemberS)
	if !ok {
		return false, fmt.Errorf("the value %s is not given, or no text", words[2])
	}
	is, ok := has.(*types.AttributeValueMemberS)
	if !ok { // there is none, or one of another type: neither equal nor less
		return false, nil
	}
	return words[1] == "=" && is.Value == asked.Value || words[1] == "<" && is.Value < asked.Value, nil
}
