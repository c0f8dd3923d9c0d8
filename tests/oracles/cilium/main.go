// Command cilium decides connections with Cilium's own policy engine: one line of JSON in, one line of JSON out.
//
// A question holds pods, outside ends, policies as manifests and what to ask about: protocols with numbers (ports, or
// ICMP types). The answer holds, by "source target protocol", the numbers that pass both ends.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	"github.com/cilium/cilium/pkg/endpoint/regeneration"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/identity/identitymanager"
	"github.com/cilium/cilium/pkg/k8s"
	v2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	slim "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/networking/v1"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
	"github.com/cilium/cilium/pkg/policy/utils"
	"github.com/cilium/cilium/pkg/spanstat"
	notifier "github.com/cilium/cilium/pkg/testutils/identity"
	metrics "github.com/cilium/cilium/pkg/testutils/policy"
	"github.com/cilium/cilium/pkg/u8proto"
)

const cluster = "default"

// namedPort is what a container declares.
type namedPort struct {
	Protocol string `json:"protocol"`
	Number   uint16 `json:"number"`
}

// pod is an endpoint with the labels that Cilium would take from Kubernetes.
type pod struct {
	Name   string               `json:"name"`
	Labels map[string]string    `json:"labels"`
	Ports  map[string]namedPort `json:"ports"`
}

// question is one case.
type question struct {
	Pods     []pod               `json:"pods"`
	Outside  []string            `json:"outside"`
	Policies []json.RawMessage   `json:"policies"`
	Numbers  map[string][]uint16 `json:"numbers"`
	IPv6     bool                `json:"ipv6"`    // whether the cluster has both families
	Cluster  string              `json:"cluster"` // what peers are bound to; empty for no cluster
}

// end is one end of a connection; outside ends have no policy of their own.
type end struct {
	name string
	id   *identity.Identity
	pod  *pod
}

// owner tells named ports: those of the pod at ingress, those of its peer at egress.
type owner struct {
	id         uint64
	here, peer *pod
}

func (o *owner) GetID() uint64                      { return o.id }
func (o *owner) PolicyDebug(string, ...any)         {}
func (o *owner) IsHost() bool                       { return false }
func (o *owner) PreviousMapState() *policy.MapState { return nil }
func (o *owner) RegenerateIfAlive(*regeneration.ExternalRegenerationMetadata) <-chan bool {
	done := make(chan bool)
	close(done)
	return done
}

func (o *owner) GetNamedPort(ingress bool, name string, proto u8proto.U8proto) uint16 {
	server := o.peer
	if ingress {
		server = o.here
	}
	if server == nil {
		return 0
	}
	if port, found := server.Ports[name]; found && strings.EqualFold(port.Protocol, proto.String()) {
		return port.Number
	}
	return 0
}

type stats struct{ wait, calculation spanstat.SpanStat }

func (s *stats) WaitingForPolicyRepository() *spanstat.SpanStat { return &s.wait }
func (s *stats) SelectorPolicyCalculation() *spanstat.SpanStat  { return &s.calculation }

// ends returns the identities of all ends.
func ends(q *question) ([]end, error) {
	var found []end
	for number := range q.Pods {
		one := &q.Pods[number]
		all := labels.Map2Labels(one.Labels, labels.LabelSourceK8s)
		found = append(found, end{one.Name, identity.NewIdentity(identity.NumericIdentity(1000+number), all), one})
	}
	for number, name := range q.Outside {
		if reserved := identity.GetReservedID(name); reserved != identity.IdentityUnknown {
			found = append(found, end{name, identity.LookupReservedIdentity(reserved), nil})
			continue
		}
		address, err := netip.ParseAddr(name)
		if err != nil {
			return nil, err
		}
		all := labels.GetCIDRLabels(netip.PrefixFrom(address, address.BitLen()))
		id := identity.IdentityScopeLocal + identity.NumericIdentity(1+number)
		found = append(found, end{name, identity.NewIdentity(id, all), nil})
	}
	return found, nil
}

// entries reads one manifest.
func entries(raw json.RawMessage, bound string, logger *slog.Logger) (types.PolicyEntries, error) {
	var head struct{ Kind string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	if head.Kind == "NetworkPolicy" {
		var np slim.NetworkPolicy
		if err := json.Unmarshal(raw, &np); err != nil {
			return nil, err
		}
		return k8s.ParseNetworkPolicy(logger, bound, &np)
	}
	var rules api.Rules
	var err error
	if head.Kind == "CiliumNetworkPolicy" {
		var cnp v2.CiliumNetworkPolicy
		if err := json.Unmarshal(raw, &cnp); err != nil {
			return nil, err
		}
		rules, err = cnp.Parse(logger, bound)
	} else {
		var ccnp v2.CiliumClusterwideNetworkPolicy
		if err := json.Unmarshal(raw, &ccnp); err != nil {
			return nil, err
		}
		rules, err = ccnp.Parse(logger, bound)
	}
	if err != nil {
		return nil, err
	}
	return utils.RulesToPolicyEntries(rules), nil
}

// decider answers for one case.
type decider struct {
	repo   *policy.Repository
	logger *slog.Logger
}

// policyOf returns the policy map of an end that faces a peer.
func (d *decider) policyOf(here, peer *end) (*policy.EndpointPolicy, error) {
	who := &owner{id: uint64(here.id.ID), here: here.pod, peer: peer.pod}
	selector, _, err := d.repo.GetSelectorPolicy(here.id, 0, &stats{}, who.id)
	if err != nil {
		return nil, err
	}
	found := selector.DistillPolicy(d.logger, who, nil)
	found.Ready()
	found.Detach(d.logger)
	return found, nil
}

// answer decides every pair of ends, one of which is a pod.
func answer(q *question) (map[string][]uint16, error) {
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	all, err := ends(q)
	if err != nil {
		return nil, err
	}
	known := identity.IdentityMap{}
	for _, one := range all {
		known[one.id.ID] = one.id.LabelArray
	}
	manager := identitymanager.NewIDManager(logger)
	repo := policy.NewPolicyRepository(logger, known, nil, nil, manager, metrics.NewPolicyMetricsNoop())
	repo.GetSelectorCache().SetLocalIdentityNotifier(notifier.NewDummyIdentityNotifier())
	for _, one := range all {
		manager.Add(one.id)
	}
	for _, raw := range q.Policies {
		found, err := entries(raw, q.Cluster, logger)
		if err != nil {
			return nil, fmt.Errorf("%w in %s", err, raw)
		}
		repo.MustAddPolicyEntries(found)
	}
	d := &decider{repo: repo, logger: logger}
	verdicts := map[string][]uint16{}
	for from := range all {
		for to := range all {
			if from != to && (all[from].pod != nil || all[to].pod != nil) {
				if err := d.decide(q, &all[from], &all[to], verdicts); err != nil {
					return nil, err
				}
			}
		}
	}
	return verdicts, nil
}

// decide notes the numbers that pass from one end to another.
func (d *decider) decide(q *question, from, to *end, verdicts map[string][]uint16) error {
	var egress, ingress *policy.EndpointPolicy
	var err error
	if from.pod != nil {
		if egress, err = d.policyOf(from, to); err != nil {
			return err
		}
	}
	if to.pod != nil {
		if ingress, err = d.policyOf(to, from); err != nil {
			return err
		}
	}
	for name, numbers := range q.Numbers {
		proto, err := u8proto.ParseProtocol(name)
		if err != nil {
			return err
		}
		passed := []uint16{}
		for _, number := range numbers {
			open := true
			if egress != nil {
				entry, _, _ := egress.Lookup(policy.EgressKey().WithIdentity(to.id.ID).WithPortProto(proto, number))
				open = !entry.IsDeny()
			}
			if open && ingress != nil {
				entry, _, _ := ingress.Lookup(policy.IngressKey().WithIdentity(from.id.ID).WithPortProto(proto, number))
				open = !entry.IsDeny()
			}
			if open {
				passed = append(passed, number)
			}
		}
		verdicts[from.name+" "+to.name+" "+name] = passed
	}
	return nil
}

func main() {
	api.InitEntities(cluster)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q question
		reply := map[string]any{}
		err := json.Unmarshal(lines.Bytes(), &q)
		option.Config.EnableIPv4, option.Config.EnableIPv6 = true, q.IPv6
		if err == nil {
			reply["verdicts"], err = answer(&q)
		}
		if err != nil {
			reply = map[string]any{"error": err.Error()}
		}
		if err := out.Encode(reply); err != nil {
			os.Exit(1)
		}
	}
}
