package payload

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type promoteParameters struct {
	RDSInstanceIdentifier   string   `param:"required" format:"db-instance" identity:"rds-instance" doc:"The replica to promote."`
	TargetClusterIdentifier string   `param:"required" format:"rds-instance-arn"`
	BackupRetentionPeriod   *int     `min:"0" max:"35" doc:"Days that backups are kept."`
	PreferredBackupWindow   string   `format:"backup-window"`
	Method                  string   `enum:"Managed,Detach" default:"Managed"`
	TimeLimitSeconds        int      `format:"positive-seconds" default:"3600"`
	Delay                   string   `format:"positive-seconds"`
	AcceptUnknownLag        bool     `doc:"Go on when the lag is not known."`
	MultiAZ                 *bool    `doc:"Two zones."`
	VpcSecurityGroupIds     []string `doc:"Security groups."`
	Regions                 []string `format:"region"`
	Password                string   `doc:"Master password."`
}

func (p *promoteParameters) Check() []Issue {
	var issues []Issue
	if p.PreferredBackupWindow != "" && p.BackupRetentionPeriod == nil {
		issues = append(issues, Issue{"PreferredBackupWindow", "a backup window needs backups", "BackupRetentionPeriod beside it"})
	}
	if p.AcceptUnknownLag && p.Method == "Managed" {
		issues = append(issues, Issue{"", "Managed does not accept an unknown lag", "Detach"})
	}
	return issues
}

type auroraParameters struct {
	GlobalClusterIdentifier string `param:"required" format:"global-cluster"`
	DBClusterIdentifier     string `param:"required" format:"rds-cluster-arn" identity:"rds-cluster"`
	ClusterRegion           string `format:"region"`
}

type cacheParameters struct {
	GlobalReplicationGroupId string `param:"required" format:"global-replication-group" identity:"cache"`
	TargetRegion             string `param:"required" format:"region"`
	TargetReplicationGroupId string `param:"required" format:"replication-group"`
}

type deleteParameters struct {
	DBClusterIdentifier string `param:"required" format:"db-cluster" identity:"rds-cluster"`
	AlsoKnownAs         string `identity:"rds-cluster"`
}

type commonParameters struct {
	DBInstanceClass, KmsKeyId, MonitoringRoleArn      string
	Port                                              *int `min:"1" max:"65535"`
	BackupRetentionPeriod                             *int `min:"0" max:"35"`
	MonitoringInterval                                *int `min:"0" max:"60"`
	StorageEncrypted, EnableIAMDatabaseAuthentication *bool
	DeletionProtection, CopyTagsToSnapshot            *bool
	AutoMinorVersionUpgrade                           *bool
	SourceRegion                                      string `format:"region"`
}

type replicaParameters struct {
	commonParameters
	RDSInstanceIdentifier       string `param:"required" format:"db-instance" identity:"rds-instance"`
	TargetClusterIdentifier     string `param:"required" format:"rds-instance-arn"`
	SourceRDSInstanceIdentifier string `param:"required"`
	MultiAZ                     *bool
	DBSubnetGroup               string
	DBSecurityGroup             []string
}

type secondaryParameters struct {
	commonParameters
	GlobalClusterIdentifier   string `param:"required" format:"global-cluster"`
	DBClusterIdentifier       string `param:"required" format:"rds-cluster-arn" identity:"rds-cluster"`
	DBClusterName             string `param:"required" format:"db-cluster"`
	SourceDBClusterIdentifier string `format:"rds-cluster-arn"`
	DBInstanceIdentifier      string `param:"required" format:"db-instance" identity:"rds-instance"`
	DBSubnetGroupName         string
	VpcSecurityGroupIds       []string
	Engine, EngineVersion     string
	ClusterRegion             string `format:"region"`
}

func testTypes() Types {
	both := []string{"failover", "failback"}
	return Types{
		{Name: "PromoteRDSReadReplica", Doc: "Promotes a read replica.", Parameters: reflect.TypeFor[promoteParameters](), Machines: both},
		{Name: "PlannedFailoverAurora", Doc: "Switches an Aurora global database over.", Parameters: reflect.TypeFor[auroraParameters](), Machines: both},
		{Name: "UnPlannedFailoverAurora", Doc: "Fails an Aurora global database over.", Parameters: reflect.TypeFor[auroraParameters](), Machines: []string{"failover"}},
		{Name: "FailoverElastiCacheCluster", Doc: "Fails a global datastore over.", Parameters: reflect.TypeFor[cacheParameters](), Machines: both},
		{Name: "CreateRDSReadReplica", Doc: "Creates a read replica.", Parameters: reflect.TypeFor[replicaParameters](), Machines: []string{"failback"}},
		{Name: "CreateAuroraSecondaryDBCluster", Doc: "Adds a secondary cluster.", Parameters: reflect.TypeFor[secondaryParameters](), Machines: []string{"failback"}},
		{Name: "DeleteDBCluster", Doc: "Deletes a cluster.", Parameters: reflect.TypeFor[deleteParameters](), Machines: []string{"failback"}},
	}
}

const (
	instanceARN = "arn:aws:rds:us-east-1:123456789012:db:orders"
	clusterARN  = "arn:aws:rds:us-west-2:123456789012:cluster:orders"
	promoteBase = `"RDSInstanceIdentifier":"orders","TargetClusterIdentifier":"` + instanceARN + `"`
)

// promote is a payload with one promotion and further parameters.
func promote(more string) string {
	if more != "" {
		more = "," + more
	}
	return payloadOf(resource("PromoteRDSReadReplica", promoteBase+more))
}

func resource(typ, parameters string) string {
	return fmt.Sprintf(`{"resourceType":%q,"resourceName":"n","parameters":{%s}}`, typ, parameters)
}

func payloadOf(resources ...string) string {
	return `{"StatePayload":[{"layer":1,"resources":[` + strings.Join(resources, ",") + `]}]}`
}

// at are the pointers of the payloads above.
const (
	at0 = "/StatePayload/0/resources/0"
	at1 = "/StatePayload/0/resources/1"
	ps0 = at0 + "/parameters"
)

// expect is one problem: its exact pointer and a part of its text.
type expect struct{ pointer, text string }

type wrongRow struct {
	name, input string
	want        []expect
}

var wrong = []wrongRow{
	// The input as a whole.
	{"empty input", ``, []expect{{"", "empty"}}},
	{"only blanks", " \n ", []expect{{"", "empty"}}},
	{"cut off", `{"StatePayload":`, []expect{{"", "line 1, column 17: the input ends in the middle"}}},
	{"syntax", "{\n  \"StatePayload\": [,]\n}", []expect{{"", "line 2, column 20"}}},
	{"syntax after a wide character", `{"ö": 'x'}`, []expect{{"", "line 1, column 7"}}},
	{"trailing comma", `{"StatePayload":[],}`, []expect{{"", "column 20"}}},
	{"trailing data", promote("") + ` {}`, []expect{{"", "after top-level value"}}},
	{"not UTF-8", "{\n\"\xff\":1}", []expect{{"", "line 2, column 2: the input is not UTF-8"}}},
	{"too large", `{"StatePayload":[]}` + strings.Repeat(" ", MaxBytes), []expect{{"", "at most 1048576 bytes"}}},
	{"too deep", strings.Repeat("[", 65) + strings.Repeat("]", 65), []expect{{strings.Repeat("/0", 64), "more than 64 deep"}}},
	{"very deep and cut off", strings.Repeat("[", 100000), []expect{{strings.Repeat("/0", 64), "more than 64 deep"}}},
	{"a list", `[]`, []expect{{"", "the payload is a list, not an object"}}},
	{"null", `null`, []expect{{"", "the payload is null"}}},
	{"no StatePayload", `{}`, []expect{{"", "has no StatePayload"}}},
	{"wrong case", `{"statePayload":[]}`, []expect{{"/statePayload", "did you mean StatePayload?"}}},
	{"schema that is no text", strings.Replace(promote(""), "{", `{"$schema":1,`, 1), []expect{{"/$schema", "$schema is a number, not text"}}},
	{"schema below the top", strings.Replace(promote(""), `{"layer"`, `{"$schema":"s","layer"`, 1), []expect{{"/StatePayload/0/$schema", `no field "$schema"`}}},
	{"pointer escapes", `{"StatePayload":[],"a/b~c":1}`, []expect{{"/a~1b~0c", `no field "a/b~c"`}, {"/StatePayload", "empty"}}},
	{"duplicate at the top", `{"StatePayload":[],"StatePayload":[]}`, []expect{{"/StatePayload", `"StatePayload" is given more than once`}, {"/StatePayload", "empty"}}},
	// Layers.
	{"StatePayload null", `{"StatePayload":null}`, []expect{{"/StatePayload", "is null, not a list"}}},
	{"StatePayload an object", `{"StatePayload":{}}`, []expect{{"/StatePayload", "is an object, not a list"}}},
	{"layer not an object", `{"StatePayload":[1]}`, []expect{{"/StatePayload/0", "a layer is a number"}}},
	{"layer without anything", `{"StatePayload":[{}]}`, []expect{{"/StatePayload/0", "has no layer"}, {"/StatePayload/0", "has no resources"}}},
	{"layer misspelt", `{"StatePayload":[{"Layer":1,"resource":[]}]}`, []expect{
		{"/StatePayload/0/Layer", "did you mean layer?"}, {"/StatePayload/0/resource", "did you mean resources?"}}},
	{"layer number of all wrong kinds", `{"StatePayload":[{"layer":1.5,"resources":[]},{"layer":"one","resources":[]},{"layer":-1,"resources":[]},{"layer":true,"resources":[]},{"layer":99999,"resources":[]},{"layer":"","resources":[]}]}`, []expect{
		{"/StatePayload/0/layer", "not a whole number"}, {"/StatePayload/0/resources", "no resources"},
		{"/StatePayload/1/layer", `"one"`}, {"/StatePayload/1/resources", "no resources"},
		{"/StatePayload/2/layer", "from 0 to 9999"}, {"/StatePayload/2/resources", "no resources"},
		{"/StatePayload/3/layer", "layer is true or false"}, {"/StatePayload/3/resources", "no resources"},
		{"/StatePayload/4/layer", "out of range"}, {"/StatePayload/4/resources", "no resources"},
		{"/StatePayload/5/layer", "not a whole number"}, {"/StatePayload/5/resources", "no resources"}}},
	{"layer number twice", `{"StatePayload":[{"layer":2,"resources":[` + resource("PromoteRDSReadReplica", promoteBase) + `]},{"layer":"2","resources":[` +
		resource("UnPlannedFailoverAurora", `"GlobalClusterIdentifier":"g","DBClusterIdentifier":"`+clusterARN+`"`) + `]}]}`, []expect{
		{"/StatePayload/1/layer", "already that of /StatePayload/0"}}},
	{"resources of a wrong kind", `{"StatePayload":[{"layer":1,"resources":"x"}]}`, []expect{{"/StatePayload/0/resources", "is text, not a list"}}},
	{"duplicate layer field", `{"StatePayload":[{"layer":1,"layer":2,"resources":[]}]}`, []expect{
		{"/StatePayload/0/layer", "more than once"}, {"/StatePayload/0/resources", "no resources"}}},
	// Resources.
	{"resource null", payloadOf("null"), []expect{{at0, "a resource is null"}}},
	{"resource without anything", payloadOf("{}"), []expect{{at0, "no resourceType"}, {at0, "no resourceName"}, {at0, "no parameters"}}},
	{"resource fields of wrong kinds", payloadOf(`{"resourceType":1,"resourceName":[],"parameters":"x"}`), []expect{
		{at0 + "/resourceName", "is a list, not text"}, {at0 + "/resourceType", "is a number, not text"}, {ps0, "is text, not an object"}}},
	{"resource fields null", payloadOf(`{"resourceType":null,"resourceName":null,"parameters":null}`), []expect{
		{at0 + "/resourceName", "null"}, {at0 + "/resourceType", "null"}, {ps0, "null"}}},
	{"resource field unknown", payloadOf(strings.Replace(resource("PromoteRDSReadReplica", promoteBase), "resourceName", "resourcename", 1)), []expect{
		{at0 + "/resourcename", "did you mean resourceName?"}}},
	{"name empty", payloadOf(strings.Replace(resource("PromoteRDSReadReplica", promoteBase), `"n"`, `"  "`, 1)), []expect{{at0 + "/resourceName", "is empty"}}},
	{"type unknown", payloadOf(resource("PromoteRdsReadReplica", "")), []expect{{at0 + "/resourceType", "did you mean PromoteRDSReadReplica?"}}},
	{"type unlike any", payloadOf(resource("Reboot", "")), []expect{{at0 + "/resourceType", "one of FailoverElastiCacheCluster, PlannedFailoverAurora, PromoteRDSReadReplica, UnPlannedFailoverAurora"}}},
	{"type of the other machine", payloadOf(resource("DeleteDBCluster", `"DBClusterIdentifier":"-"`)), []expect{
		{at0 + "/resourceType", "the failover machine does not run DeleteDBCluster; it belongs to failback"}, {ps0 + "/DBClusterIdentifier", "right form"}}},
	// Parameters.
	{"parameters missing", payloadOf(resource("FailoverElastiCacheCluster", "")), []expect{
		{ps0, "needs the parameter GlobalReplicationGroupId"}, {ps0, "needs the parameter TargetRegion"}, {ps0, "needs the parameter TargetReplicationGroupId"}}},
	{"parameter misspelt", payloadOf(resource("PromoteRDSReadReplica", strings.Replace(promoteBase, "RDSInstanceIdentifier", "rdsInstanceIdentifer", 1))), []expect{
		{ps0 + "/rdsInstanceIdentifer", "did you mean RDSInstanceIdentifier?"}}},
	{"parameter unknown", promote(`"Colour":"red"`), []expect{{ps0 + "/Colour", `no field "Colour"`}}},
	{"parameter twice", promote(`"Method":"Detach","Method":"Managed"`), []expect{{ps0 + "/Method", "more than once"}}},
	{"parameter null", promote(`"Method":null`), []expect{{ps0 + "/Method", "Method is null"}}},
	{"parameter an object", promote(`"Method":{"a":1}`), []expect{{ps0 + "/Method", "Method is an object"}}},
	{"text as a number", promote(`"Password":7`), []expect{{ps0 + "/Password", "text in quotes"}}},
	{"text as a list", promote(`"Password":["a"]`), []expect{{ps0 + "/Password", "is a list"}}},
	{"text empty", promote(`"Password":""`), []expect{{ps0 + "/Password", "is empty"}}},
	{"bool as yes", promote(`"AcceptUnknownLag":"yes"`), []expect{{ps0 + "/AcceptUnknownLag", `found "yes"; expected true or false`}}},
	{"bool empty", promote(`"MultiAZ":""`), []expect{{ps0 + "/MultiAZ", "neither true nor false"}}},
	{"bool as a number", promote(`"MultiAZ":1`), []expect{{ps0 + "/MultiAZ", "is a number"}}},
	{"bool as text of a number", promote(`"MultiAZ":"0"`), []expect{{ps0 + "/MultiAZ", "neither"}}},
	{"number with a fraction", promote(`"BackupRetentionPeriod":"1.5"`), []expect{{ps0 + "/BackupRetentionPeriod", "not a whole number"}}},
	{"number as 7.0", promote(`"BackupRetentionPeriod":7.0`), []expect{{ps0 + "/BackupRetentionPeriod", "not a whole number"}}},
	{"number empty", promote(`"BackupRetentionPeriod":""`), []expect{{ps0 + "/BackupRetentionPeriod", "not a whole number"}}},
	{"number with a sign", promote(`"BackupRetentionPeriod":"+7"`), []expect{{ps0 + "/BackupRetentionPeriod", "not a whole number"}}},
	{"number as true", promote(`"BackupRetentionPeriod":true`), []expect{{ps0 + "/BackupRetentionPeriod", "is true or false"}}},
	{"number too high", promote(`"BackupRetentionPeriod":"36"`), []expect{{ps0 + "/BackupRetentionPeriod", "from 0 to 35"}}},
	{"number too low", promote(`"BackupRetentionPeriod":-1`), []expect{{ps0 + "/BackupRetentionPeriod", "out of range"}}},
	{"number beyond all bounds", promote(`"BackupRetentionPeriod":1e400`), []expect{{ps0 + "/BackupRetentionPeriod", "not a whole number"}}},
	{"seconds zero", promote(`"TimeLimitSeconds":"0","Delay":"0"`), []expect{{ps0 + "/TimeLimitSeconds", "1 or more"}, {ps0 + "/Delay", "such as 900"}}},
	{"enum", promote(`"Method":"managed"`), []expect{{ps0 + "/Method", "did you mean Managed?; found \"managed\"; expected one of Managed, Detach"}}},
	{"window", promote(`"PreferredBackupWindow":"3:00-04:00"`), []expect{{ps0 + "/PreferredBackupWindow", "03:00-03:30"}}},
	{"list empty", promote(`"VpcSecurityGroupIds":[]`), []expect{{ps0 + "/VpcSecurityGroupIds", "is empty"}}},
	{"list with a gap", promote(`"VpcSecurityGroupIds":"sg-1,,sg-2"`), []expect{{ps0 + "/VpcSecurityGroupIds", `entry "" that is empty`}}},
	{"list of all wrong kinds", promote(`"VpcSecurityGroupIds":[1,"a,b","!Import x",null]`), []expect{
		{ps0 + "/VpcSecurityGroupIds/0", "is a number"}, {ps0 + "/VpcSecurityGroupIds/1", "comma"},
		{ps0 + "/VpcSecurityGroupIds/2", "reference"}, {ps0 + "/VpcSecurityGroupIds/3", "is null"}}},
	{"list entry of a wrong form", promote(`"Regions":["us-east-1","mars"]`), []expect{{ps0 + "/Regions", `entry "mars"`}}},
	{"across parameters", promote(`"PreferredBackupWindow":"03:00-04:00","AcceptUnknownLag":"True"`), []expect{
		{ps0 + "/PreferredBackupWindow", "needs backups"}, {ps0, "Managed does not accept an unknown lag"}}},
	// Formats.
	{"forms of identifiers", payloadOf(
		resource("FailoverElastiCacheCluster", `"GlobalReplicationGroupId":"1x","TargetRegion":"us_west_2","TargetReplicationGroupId":"`+strings.Repeat("a", 41)+`"`),
		resource("UnPlannedFailoverAurora", `"GlobalClusterIdentifier":"a--b","DBClusterIdentifier":"arn:aws:rds:us-west-2:1234:cluster:x","ClusterRegion":"west"`)), []expect{
		{ps0 + "/GlobalReplicationGroupId", "ldgnf-"}, {ps0 + "/TargetRegion", "us-west-2"}, {ps0 + "/TargetReplicationGroupId", "1 to 40"},
		{at1 + "/parameters/GlobalClusterIdentifier", "double"}, {at1 + "/parameters/DBClusterIdentifier", "ARN of a DB cluster"}, {at1 + "/parameters/ClusterRegion", "region"}}},
	// References.
	{"reference within text", promote(`"Password":"x-{{resolve:ssm:/a}}"`), []expect{{ps0 + "/Password", "must be the whole value"}}},
	{"two references", promote(`"Password":"{{resolve:ssm:/a}}{{resolve:ssm:/b}}"`), []expect{{ps0 + "/Password", "must be the whole value"}}},
	{"import of nothing", promote(`"Password":"!Import "`), []expect{{ps0 + "/Password", "needs the name"}}},
	{"import of two", promote(`"Password":"!Import a b"`), []expect{{ps0 + "/Password", "one CloudFormation export"}}},
	{"another tag", promote(`"Password":"!Ref x"`), []expect{{ps0 + "/Password", `"!Ref" is not a known reference`}}},
	{"another service", promote(`"Password":"{{resolve:s3:x}}"`), []expect{{ps0 + "/Password", `"resolve:s3" is not a known kind`}}},
	{"incomplete", promote(`"Password":"{{resolve:ssm}}"`), []expect{{ps0 + "/Password", "not a complete reference"}}},
	{"secret without braces", promote(`"Password":"resolve:secretsmanager:x"`), []expect{{ps0 + "/Password", "needs double braces"}}},
	{"parameter name", promote(`"Password":"resolve:ssm:a b"`), []expect{{ps0 + "/Password", "not the name of an SSM parameter"}}},
	{"parameter with too much", promote(`"Password":"resolve:ssm:a:1:2"`), []expect{{ps0 + "/Password", "only :VERSION can follow"}}},
	{"secret name", promote(`"Password":"{{resolve:secretsmanager:a b}}"`), []expect{{ps0 + "/Password", "name or ARN of a secret"}}},
	{"secret as binary", promote(`"Password":"{{resolve:secretsmanager:a:SecretBinary}}"`), []expect{{ps0 + "/Password", "must be SecretString"}}},
	{"secret with too much", promote(`"Password":"{{resolve:secretsmanager:a:SecretString:k:s:v:x}}"`), []expect{{ps0 + "/Password", "at most five parts"}}},
	{"secret stage and version", promote(`"Password":"{{resolve:secretsmanager:a:SecretString:k:s:v}}"`), []expect{{ps0 + "/Password", "not both"}}},
	{"secret for a number", promote(`"BackupRetentionPeriod":"{{resolve:ssm-secure:a}}"`), []expect{{ps0 + "/BackupRetentionPeriod", "only text can"}}},
	// The same thing twice.
	{"same name", payloadOf(resource("PromoteRDSReadReplica", promoteBase), resource("PromoteRDSReadReplica", promoteBase)), []expect{
		{at1 + "/parameters/RDSInstanceIdentifier", "names what " + ps0 + "/RDSInstanceIdentifier names already"}}},
	{"same ARN of two types in two layers", `{"StatePayload":[{"layer":2,"resources":[` +
		resource("UnPlannedFailoverAurora", `"GlobalClusterIdentifier":"g","DBClusterIdentifier":"`+clusterARN+`"`) + `]},{"layer":1,"resources":[` +
		resource("PlannedFailoverAurora", `"GlobalClusterIdentifier":"g","DBClusterIdentifier":"`+clusterARN+`"`) + `]}]}`, []expect{
		{"/StatePayload/1/resources/0/parameters/DBClusterIdentifier", "names already"}}},
	{"ARN, then name", payloadOf(
		resource("UnPlannedFailoverAurora", `"GlobalClusterIdentifier":"g","DBClusterIdentifier":"`+clusterARN+`"`),
		resource("DeleteDBCluster", `"DBClusterIdentifier":"orders"`)), []expect{
		{at1 + "/resourceType", "does not run"}, {at1 + "/parameters/DBClusterIdentifier", "names already"}}},
	{"name, then ARN", payloadOf(
		resource("DeleteDBCluster", `"DBClusterIdentifier":"orders"`),
		resource("UnPlannedFailoverAurora", `"GlobalClusterIdentifier":"g","DBClusterIdentifier":"`+clusterARN+`"`)), []expect{
		{at0 + "/resourceType", "does not run"}, {at1 + "/parameters/DBClusterIdentifier", "names already"}}},
	{"same reference", payloadOf(
		resource("FailoverElastiCacheCluster", `"GlobalReplicationGroupId":"!Import g","TargetRegion":"!Import r","TargetReplicationGroupId":"!Import t"`),
		resource("FailoverElastiCacheCluster", `"GlobalReplicationGroupId":"!Import g","TargetRegion":"!Import r","TargetReplicationGroupId":"!Import t"`)), []expect{
		{at1 + "/parameters/GlobalReplicationGroupId", "names already"}}},
	// Options.
	{"options null", `{"StatePayload":[],"Options":null}`, []expect{{"/StatePayload", "empty"}, {"/Options", "Options is null"}}},
	{"option unknown", `{"StatePayload":[],"Options":{"mode":"plan"}}`, []expect{{"/StatePayload", "empty"}, {"/Options/mode", "did you mean Mode?"}}},
	{"options wrong", `{"StatePayload":[],"Options":{"Mode":"dry","Disaster":"maybe"}}`, []expect{
		{"/StatePayload", "empty"}, {"/Options/Mode", "one of run, plan"}, {"/Options/Disaster", "neither"}}},
	{"option as a reference", `{"StatePayload":[],"Options":{"Mode":"!Import mode"}}`, []expect{{"/StatePayload", "empty"}, {"/Options/Mode", "cannot be a reference"}}},
	// All at once.
	{"everything together", `{"StatePayload":[{"layer":"x","resources":[{"resourceType":"Nope","resourceName":"","parameters":{}},` +
		resource("PromoteRDSReadReplica", `"RDSInstanceIdentifier":"1","MultiAZ":"no"`) + `]}],"Option":{}}`, []expect{
		{"/Option", "did you mean Options?"}, {"/StatePayload/0/layer", "whole number"},
		{at0 + "/resourceName", "empty"}, {at0 + "/resourceType", `"Nope"`},
		{at1 + "/parameters", "TargetClusterIdentifier"}, {at1 + "/parameters/RDSInstanceIdentifier", "right form"}, {at1 + "/parameters/MultiAZ", "neither"}}},
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range wrong {
		t.Run(tt.name, func(t *testing.T) {
			doc, problems := Parse([]byte(tt.input), testTypes(), "failover")
			if doc != nil {
				t.Error("a document beside problems")
			}
			var got, want []string
			for _, p := range problems {
				got = append(got, p.Pointer)
				if p.Want == "" {
					t.Errorf("%s does not say what would be right", p)
				}
				if len(p.Value) > 4*maxValue {
					t.Errorf("%s: the value is long", p)
				}
			}
			for _, e := range tt.want {
				want = append(want, e.pointer)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("pointers (-want +got):\n%s\n%v", diff, problems)
			}
			for i, e := range tt.want {
				if !strings.Contains(problems[i].String(), e.text) {
					t.Errorf("problem %q, want %q in it", problems[i], e.text)
				}
			}
		})
	}
}

// Parameters of the payloads in the documentation of the DR Orchestrator
// Framework, which must run unchanged.
const (
	auroraImports = `"GlobalClusterIdentifier": "!Import dr-globaldb-cluster-mysql-global-identifier",
		"DBClusterIdentifier": "!Import dr-globaldb-cluster-mysql-cluster-identifier"`
	createFlags = `"BackupRetentionPeriod": "7", "MonitoringInterval": "60", "StorageEncrypted": "True",
		"EnableIAMDatabaseAuthentication": "True", "DeletionProtection": "True", "CopyTagsToSnapshot": "True",
		"AutoMinorVersionUpgrade": "True", "MonitoringRoleArn": "!Import rds-mysql-instance-RDSMonitoringRole"`
)

var good = []struct{ name, machine, input string }{
	{"named schema", "failover", strings.Replace(payloadOf(resource("PlannedFailoverAurora", auroraImports)), "{", `{"$schema":"./schema.json",`, 1)},
	{"planned failover", "failover", payloadOf(resource("PlannedFailoverAurora", auroraImports))},
	{"planned failover, values given", "failover", payloadOf(resource("PlannedFailoverAurora",
		`"GlobalClusterIdentifier": "dr-globaldb-cluster-mysql", "DBClusterIdentifier": "arn:aws:rds:us-west-2:123456789012:cluster:dbcluster-02"`))},
	{"unplanned failover", "failover", payloadOf(resource("UnPlannedFailoverAurora", auroraImports+`, "ClusterRegion": "!Import dr-globaldb-cluster-mysql-cluster-region"`))},
	{"secondary cluster", "failback", payloadOf(resource("CreateAuroraSecondaryDBCluster", auroraImports+`,
		"DBClusterName": "!Import dr-globaldb-cluster-mysql-cluster-name",
		"SourceDBClusterIdentifier": "!Import dr-globaldb-cluster-mysql-source-cluster-identifier",
		"DBInstanceIdentifier": "!Import dr-globaldb-cluster-mysql-instance-identifier",
		"Port": "!Import dr-globaldb-cluster-mysql-port",
		"DBInstanceClass": "!Import dr-globaldb-cluster-mysql-instance-class",
		"DBSubnetGroupName": "!Import dr-globaldb-cluster-mysql-subnet-group-name",
		"VpcSecurityGroupIds": "!Import dr-globaldb-cluster-mysql-vpc-security-group-ids",
		"Engine": "!Import dr-globaldb-cluster-mysql-engine",
		"EngineVersion": "!Import dr-globaldb-cluster-mysql-engine-version",
		"KmsKeyId": "!Import dr-globaldb-cluster-mysql-KmsKeyId",
		"SourceRegion": "!Import dr-globaldb-cluster-mysql-source-region",
		"ClusterRegion": "!Import dr-globaldb-cluster-mysql-cluster-region", `+createFlags))},
	{"read replica", "failback", payloadOf(resource("CreateRDSReadReplica", `"RDSInstanceIdentifier": "!Import rds-mysql-instance-identifier",
		"TargetClusterIdentifier": "!Import rds-mysql-instance-global-arn",
		"SourceRDSInstanceIdentifier": "!Import rds-mysql-instance-source-identifier",
		"SourceRegion": "!Import rds-mysql-instance-SourceRegion",
		"MultiAZ": "!Import rds-mysql-instance-MultiAZ",
		"DBInstanceClass": "!Import rds-mysql-instance-DBInstanceClass",
		"DBSubnetGroup": "!Import rds-mysql-instance-DBSubnetGroup",
		"DBSecurityGroup": "!Import rds-mysql-instance-DBSecurityGroup",
		"KmsKeyId": "!Import rds-mysql-instance-KmsKeyId",
		"Port": "!Import rds-mysql-instance-DBPortNumber", `+createFlags))},
	{"replica and cache together", "failover", payloadOf(
		resource("PromoteRDSReadReplica", `"RDSInstanceIdentifier": "!Import rds-mysql-instance-identifier", "TargetClusterIdentifier": "!Import rds-mysql-instance-global-arn"`),
		resource("FailoverElastiCacheCluster", `"GlobalReplicationGroupId": "!Import demo-redis-cluster-global-replication-group-id",
			"TargetRegion": "!Import demo-redis-cluster-target-region",
			"TargetReplicationGroupId": "!Import demo-redis-cluster-target-replication-group-id"`))},
	{"native values", "failover", promote(`"BackupRetentionPeriod":7,"MultiAZ":true,"AcceptUnknownLag":false,"VpcSecurityGroupIds":["sg-1","sg-2"],"Regions":"us-gov-west-1, ap-southeast-2"`)},
	{"values at their limits", "", promote(`"BackupRetentionPeriod":"35","PreferredBackupWindow":"23:59-00:30","Delay":"1"`)},
	{"all references", "", promote(`"Password":"{{resolve:secretsmanager:arn:aws:secretsmanager:us-west-2:123456789012:secret:db-AbCdEf:SecretString:password}}",
		"Method":"resolve:ssm:/a/b:3","PreferredBackupWindow":"{{resolve:ssm:arn:aws:ssm:us-west-2:123456789012:parameter/w:prod}}","MultiAZ":"!Import m","Delay":"{{resolve:ssm-secure:d}}"`)},
	{"a byte order mark", "failback", "\uFEFF" + promote("")},
	{"layers out of order, options", "failback", `{"Options":{"Mode":"plan","Disaster":"true"},"StatePayload":[{"layer":"20","resources":[` +
		resource("DeleteDBCluster", `"DBClusterIdentifier":"orders","AlsoKnownAs":"`+clusterARN+`"`) + `]},{"layer":3,"resources":[` +
		resource("PromoteRDSReadReplica", promoteBase) + `]}]}`},
}

func TestParseAccepts(t *testing.T) {
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			doc, problems := Parse([]byte(tt.input), testTypes(), tt.machine)
			if problems.Err() != nil {
				t.Fatal(problems)
			}
			checkRoundTrip(t, doc, tt.machine)
		})
	}
}

func TestParseNormalForm(t *testing.T) {
	input := `{"Options":{"Disaster":"True"},"StatePayload":[
		{"layer":"10","resources":[{"resourceType":"PromoteRDSReadReplica","resourceName":"second","parameters":{` + promoteBase + `,"BackupRetentionPeriod":7,"MultiAZ":"False","VpcSecurityGroupIds":["sg-1","sg-2"]}}]},
		{"layer":2,"resources":[{"resourceType":"FailoverElastiCacheCluster","resourceName":"first","parameters":{"GlobalReplicationGroupId":"g","TargetRegion":"!Import r","TargetReplicationGroupId":"t"}}]}]}`
	got, problems := Parse([]byte(input), testTypes(), "")
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	const first, second = "/StatePayload/1", "/StatePayload/0"
	p1, p2 := first+"/resources/0/parameters/", second+"/resources/0/parameters/"
	want := &Document{
		Options: Options{Mode: "run", Disaster: true, ApprovalTimeLimitSeconds: 3600, OnFailure: "stop"},
		Layers: []Layer{
			{Number: 2, Pointer: first, Resources: []Resource{{Type: "FailoverElastiCacheCluster", Name: "first", Pointer: first + "/resources/0", Layer: 2, Parameters: map[string]Value{
				"GlobalReplicationGroupId": {Text: "g", Pointer: p1 + "GlobalReplicationGroupId"},
				"TargetRegion":             {Text: "!Import r", Pointer: p1 + "TargetRegion"},
				"TargetReplicationGroupId": {Text: "t", Pointer: p1 + "TargetReplicationGroupId"},
			}}}},
			{Number: 10, Pointer: second, Resources: []Resource{{Type: "PromoteRDSReadReplica", Name: "second", Pointer: second + "/resources/0", Layer: 10, Parameters: map[string]Value{
				"RDSInstanceIdentifier":   {Text: "orders", Pointer: p2 + "RDSInstanceIdentifier"},
				"TargetClusterIdentifier": {Text: instanceARN, Pointer: p2 + "TargetClusterIdentifier"},
				"BackupRetentionPeriod":   {Text: "7", Pointer: p2 + "BackupRetentionPeriod"},
				"MultiAZ":                 {Text: "False", Pointer: p2 + "MultiAZ"},
				"VpcSecurityGroupIds":     {Text: "sg-1,sg-2", Pointer: p2 + "VpcSecurityGroupIds"},
			}}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

// checkRoundTrip holds that the normal form of a document parses to the same
// document.
func checkRoundTrip(t *testing.T, doc *Document, machine string) {
	t.Helper()
	form, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	again, problems := Parse(form, testTypes(), machine)
	if len(form) > MaxBytes {
		return
	}
	if problems.Err() != nil {
		t.Fatalf("the normal form %s: %v", form, problems)
	}
	noPointers := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Pointer" }, cmp.Ignore())
	if diff := cmp.Diff(doc, again, noPointers); diff != "" {
		t.Errorf("the normal form %s gives another document (-first +second):\n%s", form, diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range wrong {
		if len(tt.input) < 1<<16 {
			f.Add(tt.input, "failover")
		}
	}
	for _, tt := range good {
		f.Add(tt.input, tt.machine)
	}
	f.Fuzz(func(t *testing.T, input, machine string) {
		doc, problems := Parse([]byte(input), testTypes(), machine)
		if (doc == nil) == (len(problems) == 0) {
			t.Fatalf("document %v and problems %v", doc, problems)
		}
		if doc == nil {
			return
		}
		checkRoundTrip(t, doc, machine)
		if bound, problems := Bind(doc, testTypes()); (bound == nil) == (len(problems) == 0) {
			t.Fatalf("bound %v and problems %v", bound, problems)
		}
	})
}

func TestProblems(t *testing.T) {
	if err := (Problems{}).Err(); err != nil {
		t.Errorf("no problems are the error %v", err)
	}
	problems := Problems{
		{"", "", "one", ""},
		{"/a", `"x"`, "two", "y"},
	}
	want := "the payload has 2 problems:\n  - (input): one\n  - /a: two; found \"x\"; expected y"
	if got := problems.Err().Error(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	form, err := json.Marshal(problems)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[{"pointer":"","message":"one"},{"pointer":"/a","value":"\"x\"","message":"two","want":"y"}]`; string(form) != want {
		t.Errorf("got  %s\nwant %s", form, want)
	}
	many := make(Problems, 120)
	if lines := strings.Split(many.Error(), "\n"); len(lines) != 102 || !strings.Contains(lines[101], "and 20 more") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	one := many[:1].Error()
	if !strings.HasPrefix(one, "the payload has 1 problem:") {
		t.Errorf("got %q", one)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"layer", "resources", "PromoteRDSReadReplica"}
	for name, want := range map[string]string{
		"Layer": "layer", "layers": "layer", "resource": "resources", "promoteRdsReplica": "PromoteRDSReadReplica",
		"": "", "x": "", "something": "", strings.Repeat("layer", 100): "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Nearest("ab", []string{strings.Repeat("x", 300), "ab"}); got != "ab" {
		t.Errorf("got %q", got)
	}
}
