package standin

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

const podWorkers = 4

// pods reports the pods of the fake nodes as running and lets the deleted ones go.
type pods struct {
	client   kubernetes.Interface
	nodes    *nodes
	informer cache.SharedIndexInformer
	lister   listers.PodLister
	queue    workqueue.TypedRateLimitingInterface[cache.ObjectName]
	started  atomic.Uint32
}

func newPods(client kubernetes.Interface, nodes *nodes) *pods {
	shared := informers.NewSharedInformerFactory(client, 0).Core().V1().Pods()
	return &pods{
		client:   client,
		nodes:    nodes,
		informer: shared.Informer(),
		lister:   shared.Lister(),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
	}
}

func (p *pods) start(ctx context.Context) error {
	enqueue := func(obj any) {
		if pod, ok := obj.(*core.Pod); ok && p.nodes.known[pod.Spec.NodeName] {
			p.queue.Add(cache.MetaObjectToName(pod))
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, obj any) { enqueue(obj) },
	}
	if _, err := p.informer.AddEventHandler(handler); err != nil {
		return err
	}
	go p.informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), p.informer.HasSynced) {
		return errors.New("stopped before the pods were listed")
	}
	for range podWorkers {
		go p.work(ctx)
	}
	go func() {
		<-ctx.Done()
		p.queue.ShutDown()
	}()
	return nil
}

func (p *pods) work(ctx context.Context) {
	for {
		name, shutdown := p.queue.Get()
		if shutdown {
			return
		}
		if err := p.sync(ctx, name); err != nil {
			klog.V(2).ErrorS(err, "Pod not updated, trying again", "pod", name)
			p.queue.AddRateLimited(name)
		} else {
			p.queue.Forget(name)
		}
		p.queue.Done(name)
	}
}

func (p *pods) sync(ctx context.Context, name cache.ObjectName) error {
	pod, err := p.lister.Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if pod.DeletionTimestamp != nil {
		err := p.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, meta.DeleteOptions{
			GracePeriodSeconds: ptr.To[int64](0),
			Preconditions:      meta.NewUIDPreconditions(string(pod.UID)),
		})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil // Gone already, or a new pod of that name which gets its own event.
		}
		return err
	}
	if pod.Status.Phase == core.PodRunning || pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
		return nil
	}
	running := pod.DeepCopy()
	p.run(running)
	_, err = p.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, running, meta.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// run fills in the status which a kubelet reports once all containers run.
func (p *pods) run(pod *core.Pod) {
	number := p.started.Add(1)
	address := fmt.Sprintf("10.%d.%d.%d", 64+number>>16&0x3f, number>>8&0xff, number&0xff)
	now := meta.Now()
	status := &pod.Status
	status.Phase = core.PodRunning
	status.StartTime = &now
	status.HostIP = "127.0.0.1"
	status.HostIPs = []core.HostIP{{IP: "127.0.0.1"}}
	status.PodIP = address
	status.PodIPs = []core.PodIP{{IP: address}}
	for _, kind := range []core.PodConditionType{core.PodInitialized, core.PodReady, core.ContainersReady} {
		setTrue(status, kind, now)
	}
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, core.ContainerStatus{
			Name:        container.Name,
			Image:       container.Image,
			ImageID:     "stand-in://" + container.Image,
			ContainerID: fmt.Sprintf("stand-in://%s/%s", pod.UID, container.Name),
			Ready:       true,
			Started:     ptr.To(true),
			State:       core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: now}},
		})
	}
	status.InitContainerStatuses = nil
	for _, container := range pod.Spec.InitContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, core.ContainerStatus{
			Name:        container.Name,
			Image:       container.Image,
			ImageID:     "stand-in://" + container.Image,
			ContainerID: fmt.Sprintf("stand-in://%s/%s", pod.UID, container.Name),
			Ready:       true,
			State: core.ContainerState{Terminated: &core.ContainerStateTerminated{
				Reason: "Completed", StartedAt: now, FinishedAt: now,
			}},
		})
	}
}

func setTrue(status *core.PodStatus, kind core.PodConditionType, now meta.Time) {
	condition := core.PodCondition{Type: kind, Status: core.ConditionTrue, LastTransitionTime: now}
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			status.Conditions[i] = condition
			return
		}
	}
	status.Conditions = append(status.Conditions, condition)
}

// has tells whether the pod is bound to one of the nodes and has the container; an empty container name means any.
func (p *pods) has(namespace, name, container string) bool {
	pod, err := p.lister.Pods(namespace).Get(name)
	if err != nil || !p.nodes.known[pod.Spec.NodeName] {
		return false
	}
	if container == "" {
		return true
	}
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == container {
			return true
		}
	}
	return false
}
