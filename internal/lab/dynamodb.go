package lab

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"dr-orchestrator/internal/condition"
)

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

// condition lets a call go on whose ConditionExpression the item of a key meets.
func (a *Account) condition(c *Call, key string) error {
	var expression *string
	if text := c.Params.str("ConditionExpression"); text != "" {
		expression = &text
	}
	names := map[string]string{}
	for name, attribute := range tree(c.Params.tree["ExpressionAttributeNames"]) {
		names[name], _ = attribute.(string)
	}
	item, exists := a.items[key]
	met, err := condition.Met(expression, names, attributes(tree(c.Params.tree["ExpressionAttributeValues"])), attributes(item))
	switch {
	case err != nil:
		return fail(400, "ValidationException", "%v", err)
	case met:
		return nil
	}
	failure := fail(400, "ConditionalCheckFailedException", "The conditional request failed")
	if c.Params.str("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" && exists {
		failure.Detail = map[string]any{"Item": item}
	}
	return failure
}

// attributes gives the string attributes of an item as the SDK has them.
func attributes(item map[string]any) map[string]types.AttributeValue {
	all := map[string]types.AttributeValue{}
	for name, value := range item {
		if s, ok := tree(value)["S"].(string); ok {
			all[name] = &types.AttributeValueMemberS{Value: s}
		}
	}
	return all
}
