package guard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"dr-orchestrator/internal/action"
)

// Table is every call to DynamoDB that the guard makes.
type Table interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
}

// Memory is what the guard and people leave for the guard, in the table of
// locks of a region.
type Memory struct {
	Table Table
	Name  string // of the table
}

// The keys of the items that people leave, and the attributes of all items.
const (
	keyDowntime     = "downtime"
	keyAcknowledged = "acknowledged"
	keyStarting     = "starting" // the guard's own

	attrKey       = "resource"
	attrUntil     = "until"
	attrBy        = "by"
	attrReason    = "reason"
	attrExecution = "execution"
	attrStarted   = "started"
	attrSince     = "since"
	attrExpires   = "expires"
)

// remembered is how long the decision about an occurrence is kept.
const remembered = 30 * 24 * time.Hour

// Downtime gives the maintenance that was declared last, over or not; nil: none.
func (m Memory) Downtime(ctx context.Context) (*Downtime, error) {
	item, err := m.get(ctx, keyDowntime)
	if err != nil || item == nil {
		return nil, err
	}
	until, err := time.Parse(time.RFC3339, item[attrUntil])
	if err != nil {
		return nil, fmt.Errorf("the declared maintenance: %w", err)
	}
	return &Downtime{Until: until, By: item[attrBy], Reason: item[attrReason]}, nil
}

// Declare declares a maintenance, in place of one that was declared before. One
// whose end has passed is none.
func (m Memory) Declare(ctx context.Context, d Downtime, now time.Time) error {
	return m.put(ctx, keyDowntime, map[string]string{
		attrUntil: d.Until.UTC().Format(time.RFC3339), attrBy: d.By, attrReason: d.Reason, attrSince: now.UTC().Format(time.RFC3339),
	}, latest(d.Until, now).Add(remembered))
}

// Acknowledged gives the run that a person has acknowledged last; nil: none.
func (m Memory) Acknowledged(ctx context.Context) (*Run, error) {
	item, err := m.get(ctx, keyAcknowledged)
	if err != nil || item == nil {
		return nil, err
	}
	started, err := time.Parse(time.RFC3339Nano, item[attrStarted])
	if err != nil {
		return nil, fmt.Errorf("the acknowledged run: %w", err)
	}
	return &Run{Execution: item[attrExecution], Started: started}, nil
}

// NewerAcknowledged says that a run that began later is acknowledged already,
// which holds for the earlier one, too.
type NewerAcknowledged struct{ Execution, By, Comment string }

func (n *NewerAcknowledged) Error() string {
	return fmt.Sprintf("%s, which began later, is acknowledged already by %s", n.Execution, n.By)
}

// startedForm has all digits of the second, so that the texts of two times
// compare as the times do.
const startedForm = "2006-01-02T15:04:05.000000000Z07:00"

// Acknowledge ends the cool-down after a run, and after all that began before
// it. It changes nothing, and gives a *NewerAcknowledged, where that would take
// back the acknowledgement of a run that began later.
func (m Memory) Acknowledge(ctx context.Context, r Run, by, comment string, now time.Time) error {
	started := r.Started.UTC().Format(startedForm)
	in := m.item(keyAcknowledged, map[string]string{
		attrExecution: r.Execution, attrStarted: started, attrBy: by, attrReason: comment, attrSince: now.UTC().Format(time.RFC3339),
	}, now.Add(remembered))
	in.ConditionExpression = aws.String("attribute_not_exists(#resource) OR #started = :started OR #started < :started")
	in.ExpressionAttributeNames = map[string]string{"#resource": attrKey, "#started": attrStarted}
	in.ExpressionAttributeValues = map[string]types.AttributeValue{":started": &types.AttributeValueMemberS{Value: started}}
	in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	_, err := m.Table.PutItem(ctx, in)
	var held *types.ConditionalCheckFailedException
	if errors.As(err, &held) {
		item := texts(held.Item)
		return &NewerAcknowledged{Execution: item[attrExecution], By: item[attrBy], Comment: item[attrReason]}
	}
	return action.Call("writing "+keyAcknowledged+" into the table "+m.Name, err)
}

// claimed is how long nobody else may start a run: longer than the guard lives
// from there to the start, and than ListExecutions takes to show what was
// started.
const claimed = 5 * time.Minute

// claim notes that a run is about to be started, unless another one is: then it
// gives the ARN of that one. A claim is as good for whoever comes again with
// the same run, and ends by itself where nobody does.
func (m Memory) claim(ctx context.Context, execution string, now time.Time) (string, error) {
	text := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	in := m.item(keyStarting, map[string]string{attrExecution: execution, attrUntil: text(now.Add(claimed))}, now.Add(remembered))
	in.ConditionExpression = aws.String("attribute_not_exists(#resource) OR #execution = :me OR #until < :now")
	in.ExpressionAttributeNames = map[string]string{"#resource": attrKey, "#execution": attrExecution, "#until": attrUntil}
	in.ExpressionAttributeValues = map[string]types.AttributeValue{":me": &types.AttributeValueMemberS{Value: execution}, ":now": &types.AttributeValueMemberS{Value: text(now)}}
	in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	_, err := m.Table.PutItem(ctx, in)
	var held *types.ConditionalCheckFailedException
	if errors.As(err, &held) {
		return cmp.Or(texts(held.Item)[attrExecution], "another one"), nil
	}
	return "", action.Call("noting the start in the table "+m.Name, err)
}

func subjectKey(trigger, id string) string { return "trigger/" + trigger + "/" + digest(id) }

// last gives the reason of the decision about a subject before.
func (m Memory) last(ctx context.Context, trigger, id string) (Reason, error) {
	item, err := m.get(ctx, subjectKey(trigger, id))
	return Reason(item[attrReason]), err
}

func (m Memory) remember(ctx context.Context, trigger, id string, r Reason, now time.Time) error {
	return m.put(ctx, subjectKey(trigger, id), map[string]string{attrReason: string(r), attrSince: now.UTC().Format(time.RFC3339)}, now.Add(remembered))
}

// get reads the texts of an item; nil: there is none.
func (m Memory) get(ctx context.Context, key string) (map[string]string, error) {
	out, err := m.Table.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(m.Name), Key: map[string]types.AttributeValue{attrKey: &types.AttributeValueMemberS{Value: key}}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, action.Call("reading "+key+" from the table "+m.Name, err)
	}
	if out.Item == nil {
		return nil, nil
	}
	return texts(out.Item), nil
}

// texts are the attributes of an item that are strings.
func texts(item map[string]types.AttributeValue) map[string]string {
	all := map[string]string{}
	for name, v := range item {
		if s, ok := v.(*types.AttributeValueMemberS); ok {
			all[name] = s.Value
		}
	}
	return all
}

func (m Memory) put(ctx context.Context, key string, texts map[string]string, expires time.Time) error {
	_, err := m.Table.PutItem(ctx, m.item(key, texts, expires))
	return action.Call("writing "+key+" into the table "+m.Name, err)
}

func (m Memory) item(key string, texts map[string]string, expires time.Time) *dynamodb.PutItemInput {
	item := map[string]types.AttributeValue{
		attrKey:     &types.AttributeValueMemberS{Value: key},
		attrExpires: &types.AttributeValueMemberN{Value: fmt.Sprint(expires.Unix())},
	}
	for name, text := range texts {
		item[name] = &types.AttributeValueMemberS{Value: text}
	}
	return &dynamodb.PutItemInput{TableName: aws.String(m.Name), Item: item}
}

// digest shortens an identity to what a name can hold.
func digest(id string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(id)))[:16] }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
