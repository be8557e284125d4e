package orchestrator

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/infra/config"
)

// endpoints makes the VPC endpoints that the configuration wants made: one for
// each service that the functions call and that is not reachable yet.
func (o *Orchestrator) endpoints() {
	v := o.region.VPC
	if !v.CreateEndpoints {
		return
	}
	for _, service := range Facts(o.build).Services {
		if v.Endpoints[service] != "" || config.NoEndpoint[service] != "" {
			continue
		}
		props := &awsec2.CfnVPCEndpointProps{
			VpcId: jsii.String(v.ID), ServiceName: jsii.String("com.amazonaws." + o.at.region + "." + service),
		}
		if gateways[service] {
			props.VpcEndpointType = jsii.String("Gateway")
			props.RouteTableIds = anys(v.RouteTables)
		} else {
			props.VpcEndpointType = jsii.String("Interface")
			props.SubnetIds, props.SecurityGroupIds = anys(v.Subnets), anys(v.SecurityGroups)
			props.PrivateDnsEnabled = true
		}
		awsec2.NewCfnVPCEndpoint(o.construct, jsii.String("endpoint-"+service), props)
	}
}

// gateways are the services whose endpoint is an entry in route tables: it
// costs nothing, and an interface would.
var gateways = map[string]bool{"dynamodb": true, "s3": true}

func anys(texts []string) *[]any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = jsii.String(t)
	}
	return &out
}
