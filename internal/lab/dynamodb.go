package lab

import "strings"

// The one table of the account holds the locks; items have one key, and all
// attributes that conditions speak of are strings.

var tableService = map[string]handler{
	"dynamodb:PutItem": func(a *Account, c *Call) (any, error) {
		item := tree(c.Params.tree["Item"])
		key := c.tableKey(attribute(item, "resource"))
		if err := a.condition(c, key); err != nil {
			return nil, err
		}
		a.items[key] = item
		return map[string]any{}, nil
	},
	"dynamodb:GetItem": func(a *Account, c *Call) (any, error) {
		item, ok := a.items[c.tableKey(attribute(tree(c.Params.tree["Key"]), "resource"))]
		if !ok {
			return map[string]any{}, nil
		}
		return map[string]any{"Item": item}, nil
	},
	"dynamodb:DeleteItem": func(a *Account, c *Call) (any, error) {
		key := c.tableKey(attribute(tree(c.Params.tree["Key"]), "resource"))
		if err := a.condition(c, key); err != nil {
			return nil, err
		}
		delete(a.items, key)
		return map[string]any{}, nil
	},
}

func (c *Call) tableKey(resource string) string {
	return c.Region + "/" + c.Params.str("TableName") + "/" + resource
}

// attribute reads a string attribute of an item.
func attribute(item map[string]any, name string) string {
	s, _ := tree(item[name])["S"].(string)
	return s
}

// condition evaluates a ConditionExpression of the forms that this product
// writes: attribute_not_exists(#name), and #name = :value or #name < :value
// joined by AND, joined by OR.
func (a *Account) condition(c *Call, key string) error {
	expression := c.Params.str("ConditionExpression")
	if expression == "" {
		return nil
	}
	names, values := tree(c.Params.tree["ExpressionAttributeNames"]), tree(c.Params.tree["ExpressionAttributeValues"])
	item, exists := a.items[key]
	for _, part := range strings.Split(expression, " OR ") {
		if strings.HasPrefix(part, "attribute_not_exists(") {
			if !exists {
				return nil
			}
			continue
		}
		all := exists
		for _, comparison := range strings.Split(part, " AND ") {
			name, value, equal := strings.Cut(comparison, " = ")
			less := false
			if !equal {
				name, value, less = strings.Cut(comparison, " < ")
			}
			if !equal && !less {
				return fail(400, "ValidationException", "the lab does not know the condition %q", comparison)
			}
			attributeName, _ := names[name].(string)
			has, asked := attribute(item, attributeName), attribute(values, value)
			all = all && (equal && has == asked || less && has != "" && has < asked)
		}
		if all {
			return nil
		}
	}
	failure := fail(400, "ConditionalCheckFailedException", "The conditional request failed")
	if c.Params.str("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" && exists {
		failure.Detail = map[string]any{"Item": item}
	}
	return failure
}
