package lab

var elastiCacheService = map[string]handler{
	"elasticache:DescribeGlobalReplicationGroups": describeGlobalReplicationGroups,
	"elasticache:DescribeReplicationGroups":       describeReplicationGroups,
	"elasticache:FailoverGlobalReplicationGroup":  failoverGlobalReplicationGroup,
}

type xmlDatastore struct {
	ID      string      `xml:"GlobalReplicationGroupId"`
	ARN     string      `xml:"ARN"`
	Status  string      `xml:"Status"`
	Engine  string      `xml:"Engine"`
	Version string      `xml:"EngineVersion"`
	Members []xmlMember `xml:"Members>GlobalReplicationGroupMember"`
}

type xmlMember struct {
	Group     string `xml:"ReplicationGroupId"`
	Region    string `xml:"ReplicationGroupRegion"`
	Role      string `xml:"Role"`
	Status    string `xml:"Status"`
	Automatic string `xml:"AutomaticFailover"`
}

func (a *Account) xmlDatastore(d *Datastore, members bool) xmlDatastore {
	out := xmlDatastore{ID: d.ID, ARN: "arn:aws:elasticache::" + a.Estate.Account + ":globalreplicationgroup:" + d.ID, Status: d.Status, Engine: "redis", Version: "7.1.0"}
	for _, m := range d.Members {
		if members {
			out.Members = append(out.Members, xmlMember{m.Group, m.Region, m.Role, m.Status, "enabled"})
		}
	}
	return out
}

func describeGlobalReplicationGroups(a *Account, c *Call) (any, error) {
	var out struct {
		Groups []xmlDatastore `xml:"GlobalReplicationGroups>GlobalReplicationGroup"`
		Marker string         `xml:"Marker,omitempty"`
	}
	id := c.Params.str("GlobalReplicationGroupId")
	var asked []*Datastore
	for _, d := range a.Estate.Datastores {
		if matches(id, nil, d.ID, "") {
			asked = append(asked, d)
		}
	}
	asked, marker, err := paged(c, asked)
	if err != nil {
		return nil, err
	}
	out.Marker = marker
	for _, d := range asked {
		if old, ok := a.before[d.ID].(*Datastore); ok && c.stale {
			d = old
		}
		out.Groups = append(out.Groups, a.xmlDatastore(d, c.Params.flag("ShowMemberInfo")))
	}
	if id != "" && len(out.Groups) == 0 {
		return nil, fail(404, "GlobalReplicationGroupNotFoundFault", "Global Replication Group %s not found.", id)
	}
	return out, nil
}

func describeReplicationGroups(a *Account, c *Call) (any, error) {
	type group struct {
		ID     string `xml:"ReplicationGroupId"`
		ARN    string `xml:"ARN"`
		Status string `xml:"Status"`
		Global *struct {
			ID   string `xml:"GlobalReplicationGroupId"`
			Role string `xml:"GlobalReplicationGroupMemberRole"`
		} `xml:"GlobalReplicationGroupInfo,omitempty"`
		Nodes    []string `xml:"MemberClusters>ClusterId"`
		NodeType string   `xml:"CacheNodeType,omitempty"`
		MultiAZ  string   `xml:"MultiAZ"`
		AtRest   bool     `xml:"AtRestEncryptionEnabled"`
		Key      string   `xml:"KmsKeyId,omitempty"`
		Slots    *float64 `xml:"PendingModifiedValues>Resharding>SlotMigration>ProgressPercentage,omitempty"`
	}
	var out struct {
		Groups []group `xml:"ReplicationGroups>ReplicationGroup"`
		Marker string  `xml:"Marker,omitempty"`
	}
	id := c.Params.str("ReplicationGroupId")
	var asked []*ReplicationGroup
	for _, g := range a.Estate.Groups {
		if g.Region == c.Region && matches(id, nil, g.ID, "") {
			asked = append(asked, g)
		}
	}
	asked, marker, err := paged(c, asked)
	if err != nil {
		return nil, err
	}
	out.Marker = marker
	for _, g := range asked {
		shown := group{ID: g.ID, ARN: "arn:aws:elasticache:" + g.Region + ":" + a.Estate.Account + ":replicationgroup:" + g.ID, Status: g.Status, Nodes: g.nodes(),
			NodeType: g.NodeType, MultiAZ: "enabled", AtRest: g.Key != "", Key: g.Key}
		if g.Resharding {
			shown.Slots = seconds(0)
		}
		if d := a.Estate.datastore(g.Datastore); d != nil {
			if old, ok := a.before[d.ID].(*Datastore); ok && c.stale {
				d = old
			}
			for _, m := range d.Members {
				if m.Region == g.Region && m.Group == g.ID {
					shown.Global = &struct {
						ID   string `xml:"GlobalReplicationGroupId"`
						Role string `xml:"GlobalReplicationGroupMemberRole"`
					}{d.ID, m.Role}
				}
			}
		}
		out.Groups = append(out.Groups, shown)
	}
	if id != "" && len(out.Groups) == 0 {
		return nil, fail(404, "ReplicationGroupNotFoundFault", "Replication Group %s not found.", id)
	}
	return out, nil
}

func failoverGlobalReplicationGroup(a *Account, c *Call) (any, error) {
	d := a.Estate.datastore(c.Params.str("GlobalReplicationGroupId"))
	region, group := c.Params.str("PrimaryRegion"), c.Params.str("PrimaryReplicationGroupId")
	if d == nil {
		return nil, fail(404, "GlobalReplicationGroupNotFoundFault", "Global Replication Group %s not found.", c.Params.str("GlobalReplicationGroupId"))
	}
	if d.Status != "available" || a.running(d.ID) {
		return nil, fail(400, "InvalidGlobalReplicationGroupState", "Global Replication Group %s is not in a valid state: %s", d.ID, d.Status)
	}
	for _, m := range d.Members {
		if m.Region != region || m.Group != group {
			continue
		}
		if m.Role == "PRIMARY" {
			return nil, fail(400, "InvalidParameterValue", "%s in %s is the primary already.", group, region)
		}
		a.begin(c, "FailoverGlobalReplicationGroup", d.ID, map[string]string{"region": region, "group": group})
		var out struct {
			Group xmlDatastore `xml:"GlobalReplicationGroup"`
		}
		out.Group = a.xmlDatastore(d, false)
		return out, nil
	}
	return nil, fail(400, "InvalidParameterValue", "%s in %s is not a member.", group, region)
}
