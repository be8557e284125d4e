package condition

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func texts(pairs ...string) map[string]types.AttributeValue {
	item := map[string]types.AttributeValue{}
	for i := 0; i < len(pairs); i += 2 {
		item[pairs[i]] = &types.AttributeValueMemberS{Value: pairs[i+1]}
	}
	return item
}

func TestMet(t *testing.T) {
	name := map[string]string{"#a": "a"}
	both := map[string]string{"#a": "a", "#b": "b"}
	x, xy := texts(":x", "5"), texts(":x", "5", ":y", "7")
	item := texts("a", "5", "b", "7")
	const errors = "error"
	for _, tt := range []struct {
		expression string
		names      map[string]string
		values     map[string]types.AttributeValue
		item       map[string]types.AttributeValue
		want       string
	}{
		{"attribute_not_exists(#a)", name, nil, nil, "yes"},
		{"attribute_not_exists(#a)", name, nil, texts("b", "1"), "yes"},
		{"attribute_not_exists(#a)", name, nil, texts("a", ""), "no"},
		{"#a = :x", name, x, item, "yes"},
		{"#a = :x", name, x, texts("a", "6"), "no"},
		{"#a = :x", name, x, texts("b", "5"), "no"},
		{"#a = :x", name, x, nil, "no"},
		{"#a = :x", name, x, map[string]types.AttributeValue{"a": &types.AttributeValueMemberN{Value: "5"}}, "no"},
		{"#a < :x", name, x, texts("a", "4"), "yes"},
		{"#a < :x", name, x, texts("a", "5"), "no"},
		{"#a < :x", name, x, texts("a", "6"), "no"},
		{"#a < :x", name, x, nil, "no"},
		{"#a = :x AND #b = :y", both, xy, item, "yes"},
		{"#a = :x AND #b = :y", both, xy, texts("a", "5", "b", "8"), "no"},
		{"#a = :x AND #b = :y", both, xy, texts("a", "6", "b", "7"), "no"},
		{"#a = :x OR #b = :y", both, xy, texts("a", "5", "b", "8"), "yes"},
		{"#a = :x OR #b = :y", both, xy, texts("a", "6", "b", "7"), "yes"},
		{"#a = :x OR #b = :y", both, xy, texts("a", "6", "b", "8"), "no"},
		{"attribute_not_exists(#a) OR #a = :x AND #b = :y", both, xy, nil, "yes"},
		{"attribute_not_exists(#a) OR #a = :x AND #b = :y", both, xy, texts("a", "5", "b", "8"), "no"},

		{"", nil, nil, item, errors},
		{"#a > :x", name, x, item, errors},
		{"#a = #a", name, nil, item, errors},
		{"(#a = :x)", name, x, item, errors},
		{"attribute_exists(#a)", name, nil, item, errors},
		{"attribute_not_exists(#a", name, nil, item, errors},
		{"#a = :x", nil, x, item, errors},
		{"#a = :x", name, nil, item, errors},
		{"#a = :x", name, map[string]types.AttributeValue{":x": &types.AttributeValueMemberN{Value: "5"}}, item, errors},
		{"attribute_not_exists(#b)", nil, nil, nil, errors},
		{"#a = :x", both, x, item, errors},
		{"#a = :x", name, xy, item, errors},
	} {
		met, err := Met(aws.String(tt.expression), tt.names, tt.values, tt.item)
		got := map[bool]string{true: "yes", false: "no"}[met]
		if err != nil {
			got = errors
			if met {
				t.Errorf("%q: met, and an error", tt.expression)
			}
		}
		if got != tt.want {
			t.Errorf("%q of %v: %s, %v", tt.expression, tt.item, got, err)
		}
	}
	if met, err := Met(nil, nil, nil, nil); !met || err != nil {
		t.Errorf("nothing is asked: %t, %v", met, err)
	}
}
