package guard

import (
	"context"
	"crypto/sha256"
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

	attrKey       = "resource"
	attrUntil     = "until"
	attrBy        = "by"
	attrReason    = "reason"
	attrExecution = "execution"
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

// Acknowledged gives the run whose cool-down a person has ended; empty: none.
func (m Memory) Acknowledged(ctx context.Context) (string, error) {
	item, err := m.get(ctx, keyAcknowledged)
	return item[attrExecution], err
}

// Acknowledge ends the cool-down after a run.
func (m Memory) Acknowledge(ctx context.Context, execution, by, comment string, now time.Time) error {
	return m.put(ctx, keyAcknowledged, map[string]string{
		attrExecution: execution, attrBy: by, attrReason: comment, attrSince: now.UTC().Format(time.RFC3339),
	}, now.Add(remembered))
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
	texts := map[string]string{}
	for name, v := range out.Item {
		if s, ok := v.(*types.AttributeValueMemberS); ok {
			texts[name] = s.Value
		}
	}
	return texts, nil
}

func (m Memory) put(ctx context.Context, key string, texts map[string]string, expires time.Time) error {
	item := map[string]types.AttributeValue{
		attrKey:     &types.AttributeValueMemberS{Value: key},
		attrExpires: &types.AttributeValueMemberN{Value: fmt.Sprint(expires.Unix())},
	}
	for name, text := range texts {
		item[name] = &types.AttributeValueMemberS{Value: text}
	}
	_, err := m.Table.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(m.Name), Item: item})
	return action.Call("writing "+key+" into the table "+m.Name, err)
}

// digest shortens an identity to what a name can hold.
func digest(id string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(id)))[:16] }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
