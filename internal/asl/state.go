package asl

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// state reads one state. Outer are the variables of the flows around its own,
// visible those and the ones of its own flow.
func (p *parser) state(n *node, name string, outer, visible map[string]bool) *state {
	st := &state{name: name, path: n.path, kind: n.text("Type", required), comment: n.text("Comment")}
	n.oneOf("QueryLanguage", "", "JSONata")
	switch st.kind {
	case typeTask:
		st.resource = n.text("Resource", required)
		if st.resource != "" && !strings.HasPrefix(st.resource, "arn:") {
			n.problem("Resource must be an ARN, not %s", st.resource)
		}
		st.arguments = n.template("Arguments")
		st.timeout = n.number("TimeoutSeconds", timeoutBounds)
	case typeChoice:
		p.choices(n, st, outer)
	case typeWait:
		st.seconds = n.number("Seconds", waitBounds)
		st.timestamp = n.timestamp("Timestamp")
		if (st.seconds == nil) == (st.timestamp == nil) {
			n.problem("exactly one of Seconds and Timestamp must be given")
		}
	case typePass, typeSucceed:
	case typeMap:
		p.mapping(n, st, visible)
	case typeParallel:
		st.arguments = n.template("Arguments")
		for _, b := range n.children("Branches", required) {
			at := strings.Replace(b.path, ".Branches", "", 1)
			b.path = at
			st.branches = append(st.branches, p.flow(b, at, visible))
			b.finish()
		}
	case typeFail:
		st.errorName = n.stringOrExpression("Error")
		st.cause = n.stringOrExpression("Cause")
	case "":
		return st // already reported, and no field can be judged
	default:
		n.problem("unknown state type %s", st.kind)
		return st
	}
	p.common(n, st, outer)
	n.finish()
	return st
}

var (
	timeoutBounds = bounds{min: 1, max: maxTimeout, whole: true}
	waitBounds    = bounds{min: 0, max: maxTimeout, whole: true}
)

// common reads the fields that several types share.
func (p *parser) common(n *node, st *state, outer map[string]bool) {
	if st.kind != typeFail {
		st.output = n.template("Output")
	}
	if st.kind != typeFail && st.kind != typeSucceed {
		st.assign = n.assign(outer)
	}
	switch st.kind {
	case typeTask, typeMap, typeParallel:
		p.retry(n, st)
		p.catch(n, st, outer)
	}
	switch st.kind {
	case typeFail, typeSucceed, typeChoice:
		return
	}
	st.next = n.text("Next")
	end, hasEnd := n.get("End")
	if _, isBool := end.(bool); hasEnd && !isBool {
		n.problem("End must be true or false")
	}
	if isEnd := end == true; isEnd == (st.next != "") {
		n.problem("exactly one of Next and End must be given")
	}
}

// choices reads what only a Choice has.
func (p *parser) choices(n *node, st *state, outer map[string]bool) {
	for _, c := range n.children("Choices", required) {
		rule := choice{condition: c.template("Condition", required), next: c.text("Next", required)}
		if rule.condition != nil && rule.condition.expr == nil {
			if _, ok := rule.condition.literal.data.(bool); !ok {
				c.problem("Condition must be an expression or a boolean")
			}
		}
		rule.assign, rule.output = c.assign(outer), c.template("Output")
		c.finish()
		st.choices = append(st.choices, rule)
	}
	st.otherwise = n.text("Default")
}

// reservedErrors are the names that Step Functions itself gives to errors.
var reservedErrors = []string{
	ErrorAll, ErrorDataLimit, ErrorItemReader, ErrorNoChoiceMatched, ErrorQueryEvaluation, ErrorResultWriter,
	ErrorRuntime, ErrorTaskFailed, ErrorTimeout, ErrorToleratedFailure,
	"States.BranchFailed", "States.HeartbeatTimeout", "States.Http.Socket", "States.IntrinsicFailure",
	"States.ParameterPathFailure", "States.Permissions", "States.ResultPathMatchFailure",
}

// errorEquals reads the names of a retrier or catcher.
func (p *parser) errorEquals(n *node, last bool) []string {
	v, _ := n.get("ErrorEquals", required)
	items, ok := v.([]any)
	if v != nil && (!ok || len(items) == 0) {
		n.problem("ErrorEquals must be an array that is not empty")
	}
	var names []string
	for _, item := range items {
		name, ok := item.(string)
		if !ok {
			n.problem("ErrorEquals must hold strings")
			continue
		}
		names = append(names, name)
		if strings.HasPrefix(name, "States.") && !slices.Contains(reservedErrors, name) {
			n.problem("ErrorEquals: Step Functions has no error %s", name)
		}
		if (name == ErrorAll || name == ErrorTaskFailed) && len(items) > 1 {
			n.problem("ErrorEquals: %s must stand alone", name)
		}
		if name == ErrorAll && !last {
			n.problem("ErrorEquals: %s must be in the last element", name)
		}
	}
	return names
}

// retry reads a Retry. The bounds and defaults are those of the specification,
// the longest MaxDelaySeconds that of the developer guide.
func (p *parser) retry(n *node, st *state) {
	list := n.children("Retry")
	for i, c := range list {
		r := Retrier{
			ErrorEquals: p.errorEquals(c, i == len(list)-1),
			Interval:    time.Second, MaxAttempts: 3, BackoffRate: 2,
		}
		if s, ok := c.literalNumber("IntervalSeconds", timeoutBounds); ok {
			r.Interval = time.Duration(s) * time.Second
		}
		if a, ok := c.literalNumber("MaxAttempts", bounds{max: maxTimeout, whole: true}); ok {
			r.MaxAttempts = int(a)
		}
		if b, ok := c.literalNumber("BackoffRate", bounds{min: 1, max: math.MaxFloat64}); ok {
			r.BackoffRate = b
		}
		if s, ok := c.literalNumber("MaxDelaySeconds", bounds{min: 1, max: 31_622_399, whole: true}); ok {
			r.MaxDelay = time.Duration(s) * time.Second
			if r.MaxDelay <= r.Interval {
				c.problem("MaxDelaySeconds must be greater than IntervalSeconds")
			}
		}
		r.FullJitter = c.oneOf("JitterStrategy", "", "FULL", "NONE") == "FULL"
		c.finish()
		st.retry = append(st.retry, r)
	}
}

func (p *parser) catch(n *node, st *state, outer map[string]bool) {
	list := n.children("Catch")
	for i, c := range list {
		st.catch = append(st.catch, catcher{
			Catcher: Catcher{ErrorEquals: p.errorEquals(c, i == len(list)-1), Next: c.text("Next", required)},
			assign:  c.assign(outer),
			output:  c.template("Output"),
		})
		c.finish()
	}
}

var (
	concurrencyBounds = bounds{min: 0, max: math.MaxInt32, whole: true}
	inlineBounds      = bounds{min: 0, max: maxInline, whole: true}
	batchBounds       = bounds{min: 1, max: math.MaxInt32, whole: true}
	percentBounds     = bounds{min: 0, max: 100}
)

const (
	s3GetObject = "arn:aws:states:::s3:getObject"
	s3PutObject = "arn:aws:states:::s3:putObject"
)

// mapping reads what only a Map has.
func (p *parser) mapping(n *node, st *state, visible map[string]bool) {
	m := &mapping{}
	st.mapping = m
	processor := n.child("ItemProcessor", required)
	if processor != nil {
		if config := processor.child("ProcessorConfig"); config != nil {
			m.distributed = config.oneOf("Mode", "", "INLINE", "DISTRIBUTED") == "DISTRIBUTED"
			if m.distributed {
				config.oneOf("ExecutionType", required, "STANDARD")
			}
			config.finish()
		}
		processor.path = n.path
		// The children of a distributed Map see no outer variable, and yet
		// may not assign one of its name (Step Functions developer guide,
		// "Passing data between states with variables").
		m.processor = p.flow(processor, n.path, maps.Clone(visible))
		processor.finish()
	}
	m.items = n.template("Items")
	m.selector = n.template("ItemSelector")
	limit := inlineBounds
	if m.distributed {
		limit = concurrencyBounds
		p.distributed(n, st)
	}
	m.concurrency = n.number("MaxConcurrency", limit)
	if m.items != nil && m.items.expr == nil && !m.items.list {
		if _, ok := m.items.literal.data.([]any); !ok {
			n.problem("Items must be an array or an expression")
		}
	}
}

// distributed reads the fields that only a distributed Map may have.
func (p *parser) distributed(n *node, st *state) {
	m := st.mapping
	m.label = n.text("Label")
	if m.label == "" {
		m.label = st.name
	}
	if len(m.label) > 40 || strings.ContainsAny(m.label, " \t\n?*<>{}[]:;,\\|^~$#%&`\"/") {
		n.problem("Label, or the name without one, must have at most 40 characters and no special ones: %s", m.label)
	}
	if other, twice := p.labels[m.label]; twice {
		n.problem("Label %s is also that of %s", m.label, other)
	}
	p.labels[m.label] = n.path

	if r := n.child("ItemReader"); r != nil {
		r.oneOf("Resource", required, s3GetObject)
		if config := r.child("ReaderConfig", required); config != nil {
			config.oneOf("InputType", required, "JSON")
			config.finish()
		}
		m.reader = p.store(r, "Key", required)
		r.finish()
		if m.items != nil {
			n.problem("only one of Items and ItemReader may be given")
		}
	}
	if b := n.child("ItemBatcher"); b != nil {
		b.get("MaxItemsPerBatch", required)
		m.batchSize = b.number("MaxItemsPerBatch", batchBounds)
		m.batchInput = b.template("BatchInput")
		b.finish()
	}
	m.tolerated = n.number("ToleratedFailureCount", concurrencyBounds)
	m.toleratedShare = n.number("ToleratedFailurePercentage", percentBounds)
	p.resultWriter(n, m)
}

// resultWriter reads a ResultWriter: with Resource and Arguments it stores the
// results, with WriterConfig alone it only shapes the result of the state.
func (p *parser) resultWriter(n *node, m *mapping) {
	m.transformation = "COMPACT"
	w := n.child("ResultWriter")
	if w == nil {
		return
	}
	if _, stored := w.obj.Get("Resource"); stored {
		m.transformation = "NONE"
		w.oneOf("Resource", required, s3PutObject)
		m.writer = p.store(w, "Prefix", "")
	}
	if config := w.child("WriterConfig"); config != nil {
		if t := config.oneOf("Transformation", required, "NONE", "COMPACT", "FLATTEN"); t != "" {
			m.transformation = t
		}
		config.oneOf("OutputType", required, "JSON")
		config.finish()
	} else if m.writer == nil {
		w.problem("Resource or WriterConfig is missing")
	}
	w.finish()
}

// store reads the Arguments of an ItemReader or ResultWriter.
func (p *parser) store(n *node, name, flag string) *store {
	args := n.child("Arguments", required)
	if args == nil {
		return nil
	}
	s := &store{bucket: args.stringOrExpression("Bucket", required), name: args.stringOrExpression(name, flag)}
	args.finish()
	return s
}
