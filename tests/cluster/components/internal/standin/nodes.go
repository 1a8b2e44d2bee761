package standin

import (
	"context"
	"fmt"
	"time"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

const (
	heartbeat     = 10 * time.Second
	leaseDuration = 40 * time.Second
)

// nodes registers the fake nodes and keeps them ready.
type nodes struct {
	client kubernetes.Interface
	names  []string
	known  map[string]bool
	port   int32
}

func newNodes(client kubernetes.Interface, prefix string, count int, port int32) *nodes {
	n := &nodes{client: client, port: port, known: make(map[string]bool, count)}
	for i := range count {
		name := fmt.Sprintf("%s%d", prefix, i)
		n.names = append(n.names, name)
		n.known[name] = true
	}
	return n
}

func (n *nodes) register(ctx context.Context) error {
	for _, name := range n.names {
		if err := n.refresh(ctx, name); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	return nil
}

// beat refreshes all nodes until ctx ends. Errors are left to the next beat: the API server may be away for a while.
func (n *nodes) beat(ctx context.Context) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, name := range n.names {
			if err := n.refresh(ctx, name); err != nil && ctx.Err() == nil {
				klog.ErrorS(err, "Heartbeat failed", "node", name)
			}
		}
	}
}

// refresh creates the node where it is missing, makes it Ready where it isn't, and renews its lease.
func (n *nodes) refresh(ctx context.Context, name string) error {
	node, err := n.client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		node, err = n.client.CoreV1().Nodes().Create(ctx, n.node(name), meta.CreateOptions{})
	}
	if err != nil {
		return err
	}
	if !ready(node) || node.Status.DaemonEndpoints.KubeletEndpoint.Port != n.port {
		node.Status = n.status(name)
		if _, err := n.client.CoreV1().Nodes().UpdateStatus(ctx, node, meta.UpdateOptions{}); err != nil {
			return err
		}
	}
	return n.renew(ctx, node)
}

func (n *nodes) renew(ctx context.Context, node *core.Node) error {
	leases := n.client.CoordinationV1().Leases(core.NamespaceNodeLease)
	now := ptr.To(meta.NowMicro())
	lease, err := leases.Get(ctx, node.Name, meta.GetOptions{})
	if err == nil {
		lease.Spec.RenewTime = now
		_, err = leases.Update(ctx, lease, meta.UpdateOptions{})
		return err
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	lease = &coordination.Lease{
		ObjectMeta: meta.ObjectMeta{
			Name: node.Name,
			OwnerReferences: []meta.OwnerReference{
				{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID},
			},
		},
		Spec: coordination.LeaseSpec{
			HolderIdentity:       ptr.To(node.Name),
			LeaseDurationSeconds: ptr.To(int32(leaseDuration / time.Second)),
			RenewTime:            now,
		},
	}
	_, err = leases.Create(ctx, lease, meta.CreateOptions{})
	return err
}

func (n *nodes) node(name string) *core.Node {
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				core.LabelHostname:   name,
				core.LabelOSStable:   "linux",
				core.LabelArchStable: "amd64",
			},
		},
		Status: n.status(name),
	}
}

func (n *nodes) status(name string) core.NodeStatus {
	capacity := core.ResourceList{
		core.ResourceCPU:              resource.MustParse("64"),
		core.ResourceMemory:           resource.MustParse("256Gi"),
		core.ResourcePods:             resource.MustParse("1000"),
		core.ResourceEphemeralStorage: resource.MustParse("1Ti"),
	}
	now := meta.Now()
	condition := func(kind core.NodeConditionType, status core.ConditionStatus, reason string) core.NodeCondition {
		return core.NodeCondition{
			Type: kind, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now,
		}
	}
	return core.NodeStatus{
		Capacity:    capacity,
		Allocatable: capacity,
		Conditions: []core.NodeCondition{
			condition(core.NodeMemoryPressure, core.ConditionFalse, "KubeletHasSufficientMemory"),
			condition(core.NodeDiskPressure, core.ConditionFalse, "KubeletHasNoDiskPressure"),
			condition(core.NodePIDPressure, core.ConditionFalse, "KubeletHasSufficientPID"),
			condition(core.NodeReady, core.ConditionTrue, "KubeletReady"),
		},
		Addresses: []core.NodeAddress{
			{Type: core.NodeInternalIP, Address: "127.0.0.1"},
			{Type: core.NodeHostName, Address: name},
		},
		DaemonEndpoints: core.NodeDaemonEndpoints{KubeletEndpoint: core.DaemonEndpoint{Port: n.port}},
		NodeInfo: core.NodeSystemInfo{
			KubeletVersion: "v1.36.3", OperatingSystem: "linux", Architecture: "amd64",
			ContainerRuntimeVersion: "stand-in://0", OSImage: "watchgate stand-in",
		},
	}
}

func ready(node *core.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}
