package lab

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// bucket holds what is left of a region's describe limit for one service.
type bucket struct {
	tokens float64
	at     time.Time
}

// limited are the services to whose reads the estate's limit applies.
var limited = []string{"rds", "elasticache", "cloudwatch"}

// overrun reports whether a read comes on top of what its service answers in
// its region each second. As many as that may come at once, after a rest.
func (a *Account) overrun(c *Call) bool {
	rate := float64(a.Estate.DescribesPerSecond)
	if rate == 0 || !slices.Contains(limited, c.Service) || Mutating(c.name()) {
		return false
	}
	key := c.Region + "/" + c.Service
	now := a.clock.Now()
	b, ok := a.reads[key]
	if !ok {
		b = &bucket{tokens: rate, at: now}
		a.reads[key] = b
	}
	b.tokens = min(rate, b.tokens+rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return true
	}
	b.tokens--
	return false
}

// filter reads the values of one filter of a query call; nil: it has none.
func (c *Call) filter(name string) []string {
	for i := 1; ; i++ {
		prefix := "Filters.Filter." + strconv.Itoa(i)
		switch c.Params.str(prefix + ".Name") {
		case "":
			return nil
		case name:
			return c.Params.list(prefix+".Values", "Value")
		}
	}
}

// matches reports whether a thing is asked for: by its name, its ARN or a
// filter of them, in whatever case, or because all are.
func matches(name string, filter []string, id, arn string) bool {
	same := func(s string) bool { return strings.EqualFold(s, id) || strings.EqualFold(s, arn) }
	return (name == "" || same(name)) && (filter == nil || slices.ContainsFunc(filter, same))
}

// paged gives one page of things, and the marker of the next. A page has
// MaxRecords things, 100 where nothing is asked for, and AWS takes 20 to 100.
func paged[T any](c *Call, all []T) ([]T, string, error) {
	size := 100
	if c.Params.has("MaxRecords") {
		size = atoi(c.Params.str("MaxRecords"))
	}
	if size < 20 || size > 100 {
		return nil, "", fail(400, "InvalidParameterValue", "Invalid value %d for MaxRecords. Must be between 20 and 100", size)
	}
	from := min(atoi(c.Params.str("Marker")), len(all))
	to := min(from+size, len(all))
	if to == len(all) {
		return all[from:to], "", nil
	}
	return all[from:to], strconv.Itoa(to), nil
}
