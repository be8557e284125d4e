package replica

import (
	"cmp"
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/succession"
)

// What a promotion notes on the instance: of which database it was a replica.
// Nothing else tells one that took over from one that was promoted for a drill.

const (
	memoSource = "promotedFrom" // what the replica replicated when it was promoted
	memoNote   = "promotionNote"

	noteSet    = "set"
	noteMissed = "missed" // a recovery does not fail for want of a tag

	noteTries = 3 // when nothing else is waited for

	evidenceUntagged = "missingTag"
)

// noteOf gives what is still to be noted of an instance that this run promotes,
// and nothing of one that it does not: empty as long as nothing shows that the
// promotion has begun, and once it is noted. A source in the same region has no
// ARN here, and no fence or failback asks for it.
func noteOf(req action.Request[PromoteParameters], i Instance, promote action.Asked) string {
	source := cmp.Or(req.Drive.Memo[memoSource], req.Resource.Seen)
	done := req.Drive.Memo[memoNote]
	at := promote.Requested
	switch {
	case req.Drive.Late: // only a look
		return ""
	case done == noteSet || done == noteMissed || !strings.HasPrefix(source, "arn:"):
		return ""
	case !at.IsZero(): // AWS has accepted it
		if i.Source != "" && action.ConditionOf(conditions, i.Status) != action.StatusPending {
			return "" // nothing is seen to run yet
		}
	case i.Source == "" && req.Drive.Interruptions > 0 && req.Drive.Changed.Happened(): // the answer was lost
		at = req.Drive.StartedAt
	default:
		return ""
	}
	note := succession.PromotedNote(source, at)
	if i.Tags[succession.PromotedTag] == note {
		return ""
	}
	return note
}

// note sets the tag beside what else is to be said of this look. It is done
// while AWS is at the promotion, so that nothing waits for it.
func (a Promotion) note(ctx context.Context, req action.Request[PromoteParameters], i Instance, note string, progress action.Progress) action.Progress {
	_, err := a.RDS.AddTagsToResource(ctx, &rds.AddTagsToResourceInput{
		ResourceName: aws.String(i.ARN), Tags: []types.Tag{{Key: aws.String(succession.PromotedTag), Value: aws.String(note)}},
	})
	if err = action.Mutation("tagging "+i.ID, err); err == nil {
		progress.Memo[memoNote], progress.Changed, progress.Aside = noteSet, true, true
		return progress
	}
	slog.ErrorContext(ctx, "the promotion goes on without its tag", "instance", i.ARN, "tag", succession.PromotedTag, "error", err.Error())
	if progress.Status != action.Done {
		return progress // there will be another look in any case
	}
	tries, _ := strconv.Atoi(req.Drive.Memo[memoNote])
	if tries++; tries < noteTries {
		progress.Memo[memoNote], progress.Status, progress.Final = strconv.Itoa(tries), action.InProgress, true
		return progress
	}
	progress.Memo[memoNote], progress.Evidence[evidenceUntagged] = noteMissed, succession.PromotedTag
	progress.Message += "; it could not be tagged as promoted: " + err.Error()
	return progress
}
