package healthcheck

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	r53types "github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
)

func TestDecideSet(t *testing.T) {
	is := func(disabled, inverted bool) check {
		return check{id: "h", kind: r53types.HealthCheckTypeHttps, disabled: disabled, inverted: inverted}
	}
	want := func(state string) SetParameters { return SetParameters{State: state} }
	kept := SetParameters{State: "Normal", NormallyInverted: true}
	owned, recovery := is(false, false), is(false, false)
	owned.owner, recovery.kind = "servicediscovery.amazonaws.com", r53types.HealthCheckTypeRecoveryControl
	not := action.Asked{Now: noon}
	accepted := func(idle time.Duration) action.Asked {
		return action.Asked{Now: noon, Requested: noon.Add(-time.Hour), IdleSince: noon.Add(-idle)}
	}
	for _, tt := range []struct {
		name  string
		c     check
		p     SetParameters
		asked action.Asked
		move  action.Move
		class action.Class
	}{
		{"plain to unhealthy", is(false, false), want("Unhealthy"), not, action.MoveAct, ""},
		{"disabled alone is healthy", is(true, false), want("Unhealthy"), not, action.MoveAct, ""},
		{"inverted alone looks for itself", is(false, true), want("Unhealthy"), not, action.MoveAct, ""},
		{"unhealthy", is(true, true), want("Unhealthy"), not, action.MoveFinish, ""},
		{"plain to healthy", is(false, false), want("Healthy"), not, action.MoveAct, ""},
		{"healthy", is(true, false), want("Healthy"), not, action.MoveFinish, ""},
		{"unhealthy to healthy", is(true, true), want("Healthy"), not, action.MoveAct, ""},
		{"unhealthy to normal", is(true, true), want("Normal"), not, action.MoveAct, ""},
		{"normal", is(false, false), want("Normal"), not, action.MoveFinish, ""},
		{"inverted is not normal", is(false, true), want("Normal"), not, action.MoveAct, ""},
		{"inverted is its normal", is(false, true), kept, not, action.MoveFinish, ""},
		{"not inverted is not its normal", is(false, false), kept, not, action.MoveAct, ""},
		{"of another service", owned, want("Unhealthy"), not, action.MoveFail, action.Refused},
		{"of a routing control", recovery, want("Unhealthy"), not, action.MoveFail, action.Refused},
		{"asked and not visible", is(false, false), want("Unhealthy"), accepted(0), action.MoveWait, ""},
		{"asked and long not visible", is(false, false), want("Unhealthy"), accepted(time.Hour), action.MoveFail, action.Terminal},
		{"perhaps asked", is(false, false), want("Unhealthy"), action.Asked{Now: noon, Unsure: true}, action.MoveWait, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := decideSet(tt.c, tt.p, tt.asked); d.Move != tt.move || d.Class != tt.class || d.Reason == "" {
				t.Errorf("%+v, want move %d and class %q", d, tt.move, tt.class)
			}
		})
	}
}

// zone is Route 53 with one health check.
type zone struct {
	check   r53types.HealthCheck
	err     error
	updates []*route53.UpdateHealthCheckInput
}

func (z *zone) GetHealthCheck(context.Context, *route53.GetHealthCheckInput, ...func(*route53.Options)) (*route53.GetHealthCheckOutput, error) {
	return &route53.GetHealthCheckOutput{HealthCheck: &z.check}, nil
}

func (z *zone) UpdateHealthCheck(_ context.Context, in *route53.UpdateHealthCheckInput, _ ...func(*route53.Options)) (*route53.UpdateHealthCheckOutput, error) {
	z.updates = append(z.updates, in)
	return &route53.UpdateHealthCheckOutput{}, z.err
}

func TestSetHealthCheck(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		class   action.Class
		changed bool
	}{
		{"taken", nil, "", true},
		{"changed by another in between", coded("HealthCheckVersionMismatch"), "", false}, // looks again
		{"throttled", coded("Throttling"), action.Throttled, false},
		{"denied", coded("AccessDenied"), action.Denied, false},
		{"no answer", context.DeadlineExceeded, action.OutcomeUnknown, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := &zone{err: tt.err, check: r53types.HealthCheck{HealthCheckVersion: aws.Int64(7), HealthCheckConfig: &r53types.HealthCheckConfig{Type: r53types.HealthCheckTypeTcp}}}
			progress, err := Setting{Route53: z}.Reconcile(t.Context(), action.Request[SetParameters]{Now: noon, Parameters: SetParameters{HealthCheckId: "h", State: "Unhealthy"}})
			var class action.Class
			if err != nil {
				class = action.ClassOf(err)
			}
			if class != tt.class || progress.Changed != tt.changed || len(z.updates) != 1 {
				t.Fatalf("%+v, %v after %d calls", progress, err, len(z.updates))
			}
			if in := z.updates[0]; *in.HealthCheckVersion != 7 || !*in.Disabled || !*in.Inverted {
				t.Errorf("asked for %+v", in)
			}
		})
	}
}

func TestSetHealthCheckPreflight(t *testing.T) {
	for region, want := range map[string]action.Verdict{"us-east-1": action.VerdictReady, "us-west-2": action.VerdictWarning} {
		z := &zone{check: r53types.HealthCheck{HealthCheckConfig: &r53types.HealthCheckConfig{Type: r53types.HealthCheckTypeTcp}}}
		ready, err := Setting{Route53: z}.Preflight(t.Context(), action.Request[SetParameters]{Run: action.Run{Region: region}, Parameters: SetParameters{State: "Unhealthy"}})
		if err != nil || ready.Verdict() != want || len(z.updates) > 0 {
			t.Errorf("in %s: %+v, %v", region, ready, err)
		}
	}
}

// Nobody can see of a forced check whether it is inverted when it looks for
// itself: it is said before that is lost.
func TestLostInversions(t *testing.T) {
	for _, tt := range []struct {
		name               string
		disabled, inverted bool
		p                  SetParameters
		want               string // empty: nothing is lost
	}{
		{"looks for itself, inverted", false, true, SetParameters{State: "Normal"}, "turns what it tells round"},
		{"forced to unhealthy", true, true, SetParameters{State: "Normal"}, "say NormallyInverted"},
		{"forced to unhealthy, and said", true, true, SetParameters{State: "Normal", NormallyInverted: true}, ""},
		{"forced to healthy", true, false, SetParameters{State: "Normal"}, ""},
		{"is inverted, to be unhealthy", false, true, SetParameters{State: "Unhealthy"}, "the way back"},
		{"is inverted, to be healthy", false, true, SetParameters{State: "Healthy"}, "the way back"},
		{"is plain, to be unhealthy", false, false, SetParameters{State: "Unhealthy"}, ""},
		{"is unhealthy, to be healthy", true, true, SetParameters{State: "Healthy"}, ""},
		{"is inverted, and so it stays", false, true, SetParameters{State: "Normal", NormallyInverted: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := &zone{check: r53types.HealthCheck{HealthCheckConfig: &r53types.HealthCheckConfig{Type: r53types.HealthCheckTypeTcp, Disabled: aws.Bool(tt.disabled), Inverted: aws.Bool(tt.inverted)}}}
			ready, err := Setting{Route53: z}.Preflight(t.Context(), action.Request[SetParameters]{Run: action.Run{Region: "us-east-1"}, Parameters: tt.p})
			told := ""
			for _, f := range ready.Findings {
				told += f.Message
			}
			if err != nil || (ready.Verdict() == action.VerdictWarning) != (tt.want != "") || !strings.Contains(told, tt.want) {
				t.Errorf("%+v, %v", ready, err)
			}
		})
	}
}

// What a check was before the first call of the run stays in the evidence.
func TestWhatAHealthCheckWasIsKept(t *testing.T) {
	z := &zone{check: r53types.HealthCheck{HealthCheckConfig: &r53types.HealthCheckConfig{Type: r53types.HealthCheckTypeTcp, Inverted: aws.Bool(true)}}}
	req := action.Request[SetParameters]{Now: noon, Parameters: SetParameters{HealthCheckId: "h", State: "Unhealthy"}}
	const want = "disabled false, inverted true"
	called, err := Setting{Route53: z}.Reconcile(t.Context(), req)
	if err != nil || called.Evidence["before"] != want || called.Memo["before"] != want {
		t.Fatalf("%+v, %v", called, err)
	}
	z.check.HealthCheckConfig.Disabled, req.Drive.Memo = aws.Bool(true), called.Memo
	done, err := Setting{Route53: z}.Reconcile(t.Context(), req)
	if err != nil || done.Status != action.Done || done.Evidence["before"] != want || !strings.Contains(done.Message, want) {
		t.Errorf("%+v, %v", done, err)
	}
	req.Drive.Memo = nil
	if found, err := (Setting{Route53: z}).Reconcile(t.Context(), req); err != nil || found.Evidence["before"] != nil || strings.Contains(found.Message, "before") {
		t.Errorf("found so: %+v, %v", found, err)
	}
}

// alarm is one that can be a switch.
func alarm(state cwtypes.StateValue) cwtypes.MetricAlarm {
	return cwtypes.MetricAlarm{
		AlarmName: aws.String("dr-switch"), StateValue: state, Namespace: aws.String("DisasterRecovery"), MetricName: aws.String("Switch"), Statistic: cwtypes.StatisticMaximum,
		Dimensions: []cwtypes.Dimension{{Name: aws.String("Alarm"), Value: aws.String("dr-switch")}}, Unit: cwtypes.StandardUnitCount,
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanOrEqualToThreshold, Threshold: aws.Float64(1), EvaluationPeriods: aws.Int32(1), Period: aws.Int32(60), TreatMissingData: aws.String("ignore"),
	}
}

func TestDecideSwitch(t *testing.T) {
	const ok, rings, none = cwtypes.StateValueOk, cwtypes.StateValueAlarm, cwtypes.StateValueInsufficientData
	with := func(change func(*cwtypes.MetricAlarm)) cwtypes.MetricAlarm { a := alarm(ok); change(&a); return a }
	not := asking{now: noon}
	sent := func(ago time.Duration) asking { return asking{now: noon, sent: noon.Add(-ago)} }
	// The metric says of the alarm what its state says, unless told otherwise.
	saysOK, saysAlarm, nothing := &datapoint{noon, 0}, &datapoint{noon, 1}, &datapoint{}
	for _, tt := range []struct {
		name   string
		alarm  cwtypes.MetricAlarm
		newest *datapoint
		asked  asking
		move   action.Move
		state  action.State
	}{
		{"off", alarm(ok), nil, not, action.MoveAct, action.StateReady},
		{"never on nor off", alarm(none), nil, not, action.MoveAct, action.StateReady},
		{"on", alarm(rings), saysAlarm, not, action.MoveFinish, action.StateDone},
		{"sent just now", alarm(ok), nil, sent(0), action.MoveWait, action.StateUnderWay},
		{"sent, within the time", alarm(ok), nil, sent(evaluation - time.Second), action.MoveWait, action.StateUnderWay},
		{"sent, and the time is over", alarm(ok), nil, sent(evaluation), action.MoveAct, action.StateReady},
		{"sent, and on", alarm(rings), saysAlarm, sent(time.Second), action.MoveFinish, action.StateDone},
		{"perhaps sent", alarm(ok), nil, asking{now: noon, perhaps: true}, action.MoveWait, action.StateBusy},
		{"on, and its metric not asked for", alarm(rings), nil, not, action.MoveLook, action.StateUnknown},
		{"set by hand, without data", alarm(rings), nothing, not, action.MoveAct, action.StateReady},
		{"set by hand, against the data", alarm(rings), saysOK, not, action.MoveAct, action.StateReady},
		{"set by hand, and sent", alarm(rings), saysOK, sent(evaluation - time.Second), action.MoveWait, action.StateUnderWay},
		{"set by hand, and the time is over", alarm(rings), saysOK, sent(evaluation), action.MoveAct, action.StateReady},
		{"set by hand, and perhaps sent", alarm(rings), saysOK, asking{now: noon, perhaps: true}, action.MoveWait, action.StateBusy},
		{"set back by hand", alarm(ok), saysAlarm, not, action.MoveAct, action.StateReady},
		{"does not keep its state", with(func(a *cwtypes.MetricAlarm) { a.TreatMissingData = aws.String("missing") }), nil, not, action.MoveFail, action.StateUnknown},
		{"says not what it does without data", with(func(a *cwtypes.MetricAlarm) { a.TreatMissingData = nil }), nil, not, action.MoveFail, action.StateUnknown},
		{"two periods", with(func(a *cwtypes.MetricAlarm) { a.EvaluationPeriods = aws.Int32(2) }), nil, not, action.MoveFail, action.StateUnknown},
		{"counts", with(func(a *cwtypes.MetricAlarm) { a.Statistic = cwtypes.StatisticSampleCount }), nil, not, action.MoveFail, action.StateUnknown},
		{"a percentile", with(func(a *cwtypes.MetricAlarm) { a.Statistic, a.ExtendedStatistic = "", aws.String("p99") }), nil, not, action.MoveFail, action.StateUnknown},
		{"a metric of AWS", with(func(a *cwtypes.MetricAlarm) { a.Namespace = aws.String("AWS/RDS") }), nil, not, action.MoveFail, action.StateUnknown},
		{"a metric of others", with(func(a *cwtypes.MetricAlarm) { a.Namespace = aws.String("Orders") }), nil, not, action.MoveFail, action.StateUnknown},
		{"high resolution, ten seconds", with(func(a *cwtypes.MetricAlarm) { a.Period = aws.Int32(10) }), nil, not, action.MoveFail, action.StateUnknown},
		{"high resolution, thirty seconds", with(func(a *cwtypes.MetricAlarm) { a.Period = aws.Int32(30) }), nil, not, action.MoveFail, action.StateUnknown},
		{"five minutes", with(func(a *cwtypes.MetricAlarm) { a.Period = aws.Int32(300) }), nil, not, action.MoveFail, action.StateUnknown},
		{"no period", with(func(a *cwtypes.MetricAlarm) { a.Period = nil }), nil, not, action.MoveFail, action.StateUnknown},
		{"computed", with(func(a *cwtypes.MetricAlarm) { a.Metrics = make([]cwtypes.MetricDataQuery, 1) }), nil, not, action.MoveFail, action.StateUnknown},
		{"an anomaly", with(func(a *cwtypes.MetricAlarm) {
			a.ComparisonOperator, a.Threshold = cwtypes.ComparisonOperatorGreaterThanUpperThreshold, nil
		}), nil, not, action.MoveFail, action.StateUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decideSwitch(tt.alarm, tt.newest, SwitchParameters{AlarmName: "dr-switch", State: "ALARM"}, tt.asked)
			if d.Move != tt.move || d.State != tt.state || d.Reason == "" || (d.Move == action.MoveFail) != (d.Class == action.Refused) {
				t.Errorf("%+v, want move %d in %s", d, tt.move, tt.state)
			}
		})
	}
}

func TestValueIsOnTheSideOfTheState(t *testing.T) {
	for operator, rings := range map[cwtypes.ComparisonOperator]func(value, threshold float64) bool{
		cwtypes.ComparisonOperatorGreaterThanOrEqualToThreshold: func(v, t float64) bool { return v >= t },
		cwtypes.ComparisonOperatorGreaterThanThreshold:          func(v, t float64) bool { return v > t },
		cwtypes.ComparisonOperatorLessThanOrEqualToThreshold:    func(v, t float64) bool { return v <= t },
		cwtypes.ComparisonOperatorLessThanThreshold:             func(v, t float64) bool { return v < t },
	} {
		for _, threshold := range []float64{0, 1, -3, 0.5} {
			a := alarm(cwtypes.StateValueOk)
			a.ComparisonOperator, a.Threshold = operator, aws.Float64(threshold)
			if !rings(value(a, "ALARM"), threshold) || rings(value(a, "OK"), threshold) {
				t.Errorf("%s %g: %g rings, %g does not", operator, threshold, value(a, "ALARM"), value(a, "OK"))
			}
			for _, v := range []float64{threshold - 1, threshold, threshold + 1} {
				d := datapoint{noon, v}
				if d.makes(a, "ALARM") != rings(v, threshold) || d.makes(a, "OK") == rings(v, threshold) {
					t.Errorf("%s %g: %g makes ALARM %t and OK %t", operator, threshold, v, d.makes(a, "ALARM"), d.makes(a, "OK"))
				}
			}
		}
	}
}

// metrics is CloudWatch with one alarm.
type metrics struct {
	alarms  []cwtypes.MetricAlarm
	results [][]cwtypes.MetricDataResult // pages of the metric
	broken  error                        // reading the metric
	err     error                        // sending a datapoint
	reads   []*cloudwatch.GetMetricDataInput
	puts    []*cloudwatch.PutMetricDataInput
}

func (m *metrics) DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	return &cloudwatch.DescribeAlarmsOutput{MetricAlarms: m.alarms}, nil
}

func (m *metrics) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	page, _ := strconv.Atoi(aws.ToString(in.NextToken))
	again := *in
	m.reads = append(m.reads, &again)
	out := &cloudwatch.GetMetricDataOutput{}
	if page < len(m.results) {
		out.MetricDataResults = m.results[page]
	}
	if page+1 < len(m.results) {
		out.NextToken = aws.String(strconv.Itoa(page + 1))
	}
	return out, m.broken
}

func (m *metrics) PutMetricData(_ context.Context, in *cloudwatch.PutMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricDataOutput, error) {
	m.puts = append(m.puts, in)
	return &cloudwatch.PutMetricDataOutput{}, m.err
}

// ofTheAlarm wants the metric of that alarm: all switches share a namespace and a
// name, and a datapoint of another one, or of another unit, would prove nothing.
func ofTheAlarm(t *testing.T, dimensions []cwtypes.Dimension, unit cwtypes.StandardUnit) {
	t.Helper()
	if len(dimensions) != 1 || *dimensions[0].Name != "Alarm" || *dimensions[0].Value != "dr-switch" || unit != cwtypes.StandardUnitCount {
		t.Errorf("of %+v in %q", dimensions, unit)
	}
}

func TestSetSwitch(t *testing.T) {
	type pages = [][]cwtypes.MetricDataResult
	shows := func(values ...float64) cwtypes.MetricDataResult {
		r := cwtypes.MetricDataResult{StatusCode: cwtypes.StatusCodeComplete, Values: values}
		for i := range values {
			r.Timestamps = append(r.Timestamps, noon.Add(-time.Duration(i)*time.Hour))
		}
		return r
	}
	status := func(code cwtypes.StatusCode) pages { return pages{{{StatusCode: code}}} }
	off, on := []cwtypes.MetricAlarm{alarm(cwtypes.StateValueOk)}, []cwtypes.MetricAlarm{alarm(cwtypes.StateValueAlarm)}
	for _, tt := range []struct {
		name    string
		m       metrics
		class   action.Class
		done    bool
		changed bool
		reads   int
		puts    int
	}{
		{"taken", metrics{alarms: off}, "", false, true, 0, 1},
		{"taken by one who tells of no metric", metrics{alarms: off, broken: context.DeadlineExceeded}, "", false, true, 0, 1},
		{"is on already", metrics{alarms: on, results: pages{{shows(1, 0)}}}, "", true, false, 1, 0},
		{"is on already, says the second page", metrics{alarms: on, results: pages{{shows()}, {shows(1)}}}, "", true, false, 2, 0},
		{"was set by hand", metrics{alarms: on, results: pages{{shows()}}}, "", false, true, 1, 1},
		{"was set by hand, after it was off", metrics{alarms: on, results: pages{{shows(0, 1)}}}, "", false, true, 1, 1},
		{"on, and the metric cannot be read", metrics{alarms: on, broken: coded("ThrottlingException")}, action.Throttled, false, false, 1, 0},
		{"on, and the metric fails", metrics{alarms: on, results: status(cwtypes.StatusCodeInternalError)}, action.Unreachable, false, false, 1, 0},
		{"on, and the metric is forbidden", metrics{alarms: on, results: status(cwtypes.StatusCodeForbidden)}, action.Denied, false, false, 1, 0},
		{"no such alarm", metrics{}, action.NotFound, false, false, 0, 0},
		{"throttled", metrics{alarms: off, err: coded("ThrottlingException")}, action.Throttled, false, false, 0, 1},
		{"no answer", metrics{alarms: off, err: context.DeadlineExceeded}, action.OutcomeUnknown, false, false, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, req := &tt.m, action.Request[SwitchParameters]{Now: noon, Run: action.Run{Region: "us-west-2"}, Parameters: SwitchParameters{AlarmName: "dr-switch", State: "ALARM"}}
			s := Switching{CloudWatch: func(region string) SwitchAPI {
				if region != "us-west-2" {
					t.Errorf("asked in %s", region)
				}
				return m
			}}
			progress, err := s.Reconcile(t.Context(), req)
			var class action.Class
			if err != nil {
				class = action.ClassOf(err)
			}
			if class != tt.class || progress.Changed != tt.changed || (progress.Status == action.Done) != tt.done || len(m.puts) != tt.puts || len(m.reads) != tt.reads {
				t.Errorf("%+v, %v after %d datapoints and %d looks at the metric", progress, err, len(m.puts), len(m.reads))
			}
			for _, in := range m.reads {
				q := in.MetricDataQueries[0].MetricStat
				if *q.Metric.MetricName != "Switch" || *q.Metric.Namespace != "DisasterRecovery" || *q.Period != 60 || *q.Stat != "Maximum" ||
					in.ScanBy != cwtypes.ScanByTimestampDescending || !in.EndTime.After(noon) || noon.Sub(*in.StartTime) >= 15*24*time.Hour {
					t.Errorf("asked for %+v of %+v", q, in)
				}
				ofTheAlarm(t, q.Metric.Dimensions, q.Unit)
			}
			for _, in := range m.puts {
				if d := in.MetricData[0]; *in.Namespace != "DisasterRecovery" || *d.MetricName != "Switch" || *d.Value != 2 {
					t.Errorf("sent %+v", d)
				}
				ofTheAlarm(t, in.MetricData[0].Dimensions, in.MetricData[0].Unit)
			}
			ready, err := s.Preflight(t.Context(), req)
			byHand := tt.reads > 0 && tt.puts > 0
			if warned := ready.Verdict() == action.VerdictWarning; (err != nil) != (tt.class != "" && tt.puts == 0) || warned != byHand || len(m.puts) != tt.puts {
				t.Errorf("preflight: %+v, %v", ready, err)
			}
		})
	}
}
