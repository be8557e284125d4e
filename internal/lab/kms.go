package lab

import "strings"

// keyStates are the states that a KMS key of an estate may have.
var keyStates = []string{"Creating", "Enabled", "Disabled", "PendingDeletion", "PendingImport", "PendingReplicaDeletion", "Unavailable", "Updating"}

const keyEnabled = "Enabled"

// keyARN gives the ARN of the key that a call names by id or ARN.
func (a *Account) keyARN(c *Call) string {
	id := c.Params.str("KeyId")
	if strings.HasPrefix(id, "arn:") {
		return id
	}
	return "arn:aws:kms:" + c.Region + ":" + a.Estate.Account + ":key/" + id
}

// keyService answers about keys. Those of the account are there and enabled
// unless the estate says otherwise; those of other accounts are theirs to
// describe.
var keyService = map[string]handler{"kms:DescribeKey": func(a *Account, c *Call) (any, error) {
	arn := a.keyARN(c)
	state, listed := a.Estate.Keys[arn]
	switch {
	case regionOf(arn) != c.Region:
		return nil, fail(400, "NotFoundException", "Invalid arn %s", c.Region)
	case !listed && !strings.HasPrefix(arn, "arn:aws:kms:"+c.Region+":"+a.Estate.Account+":"):
		return nil, fail(400, "AccessDeniedException", "The key %s is not accessible", arn)
	case !listed:
		state = keyEnabled
	}
	return map[string]any{"KeyMetadata": map[string]any{
		"KeyId": arn[strings.LastIndex(arn, "/")+1:], "Arn": arn, "AWSAccountId": a.Estate.Account, "KeyState": state, "Enabled": state == keyEnabled,
	}}, nil
}}
