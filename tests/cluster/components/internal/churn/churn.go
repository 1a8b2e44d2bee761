// Package churn writes to the API server: several writers create, update and delete pods, ConfigMaps and custom resources in
// several namespaces, so that caches in front of it have something to follow.
//
// Each writer owns its objects, so that no two writers ever conflict. Pods name a scheduler which doesn't exist and stay
// pending. What is left when the time is up stays, to be compared.
package churn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"watchgate.test/components/internal/connect"
)

type options struct {
	kubeconfig string
	duration   time.Duration
	rate       float64
	writers    int
	namespaces int
	objects    int
	padding    int
	seed       uint64
	resources  []string
}

// Counts are of the writes which the server took, and of those which it or the network refused.
type Counts struct {
	Creates atomic.Int64
	Updates atomic.Int64
	Patches atomic.Int64
	Deletes atomic.Int64
	Errors  atomic.Int64
}

// Command is the churn part.
func Command() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:          "churn",
		Short:        "Create, update and delete objects at a given rate",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return run(ctx, &o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server (required)")
	flags.DurationVar(&o.duration, "duration", 10*time.Second, "how long to write")
	flags.Float64Var(&o.rate, "rate", 50, "writes per second, of all writers together")
	flags.IntVar(&o.writers, "writers", 4, "concurrent writers")
	flags.IntVar(&o.namespaces, "namespaces", 3, "namespaces churn-0 and on, created where missing")
	flags.IntVar(&o.objects, "objects", 20, "objects per writer and resource at most")
	flags.IntVar(&o.padding, "padding", 200, "bytes of changing content in each object")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of all choices")
	flags.StringSliceVar(&o.resources, "resources", []string{"pods", "configmaps", widgets}, "what to write: pods, configmaps, "+widgets)
	return command
}

func run(ctx context.Context, o *options) error {
	if o.rate <= 0 || o.writers < 1 || o.namespaces < 1 || o.objects < 1 {
		return errors.New("--rate, --writers, --namespaces and --objects must be positive")
	}
	for _, resource := range o.resources {
		if _, ok := kinds[resource]; !ok {
			return fmt.Errorf("--resources: %q is not one of pods, configmaps, %s", resource, widgets)
		}
	}
	config, err := connect.Config(o.kubeconfig)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := prepare(ctx, client, o); err != nil {
		return err
	}
	fmt.Println("ready")

	ctx, cancel := context.WithTimeout(ctx, o.duration)
	defer cancel()
	var counts Counts
	var group sync.WaitGroup
	for number := range o.writers {
		group.Go(func() {
			w := &writer{
				options: o, client: client, counts: &counts, number: number,
				random: rand.New(rand.NewPCG(o.seed, uint64(number))), exists: map[string]bool{},
			}
			w.work(ctx)
		})
	}
	group.Wait()
	return json.NewEncoder(os.Stdout).Encode(map[string]int64{
		"creates": counts.Creates.Load(), "updates": counts.Updates.Load(), "patches": counts.Patches.Load(),
		"deletes": counts.Deletes.Load(), "errors": counts.Errors.Load(),
	})
}

// writer is one of the writers. Its choices follow from the seed alone as long as no write fails.
type writer struct {
	*options
	client  dynamic.Interface
	counts  *Counts
	number  int
	random  *rand.Rand
	exists  map[string]bool
	changes int
}

func (w *writer) work(ctx context.Context) {
	ticker := time.NewTicker(time.Duration(float64(time.Second) * float64(w.writers) / w.rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := w.step(ctx); err != nil && ctx.Err() == nil {
			w.counts.Errors.Add(1)
		}
	}
}

// step makes one write: a missing object is created; another is deleted in one of five cases and changed in the others.
func (w *writer) step(ctx context.Context) error {
	resource := w.resources[w.random.IntN(len(w.resources))]
	index := w.random.IntN(w.objects)
	choice := w.random.IntN(10)
	namespace := fmt.Sprintf("churn-%d", index%w.namespaces)
	name := fmt.Sprintf("w%d-%d", w.number, index)
	content := w.content()
	identity := resource + "/" + name
	objects := w.client.Resource(kinds[resource].resource).Namespace(namespace)

	switch {
	case !w.exists[identity]:
		_, err := objects.Create(ctx, kinds[resource].object(namespace, name, content), meta.CreateOptions{})
		if err == nil || apierrors.IsAlreadyExists(err) {
			w.exists[identity] = true
		}
		return count(&w.counts.Creates, err)
	case choice < 2:
		err := objects.Delete(ctx, name, meta.DeleteOptions{})
		if err == nil || apierrors.IsNotFound(err) {
			delete(w.exists, identity)
		}
		return count(&w.counts.Deletes, err)
	case choice < 5:
		patch := fmt.Sprintf(`{"metadata":{"labels":{"change":"%d"},"annotations":{"padding":%q}}}`, w.changes, content)
		_, err := objects.Patch(ctx, name, types.MergePatchType, []byte(patch), meta.PatchOptions{})
		return count(&w.counts.Patches, w.noticed(identity, err))
	default:
		return count(&w.counts.Updates, w.noticed(identity, w.update(ctx, objects, name, content)))
	}
}

func (w *writer) update(ctx context.Context, objects dynamic.ResourceInterface, name, content string) error {
	object, err := objects.Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return err
	}
	annotations := map[string]any{"padding": content, "change": fmt.Sprint(w.changes)}
	if err := unstructured.SetNestedMap(object.Object, annotations, "metadata", "annotations"); err != nil {
		return err
	}
	_, err = objects.Update(ctx, object, meta.UpdateOptions{})
	return err
}

// noticed forgets an object which is gone after all, as after a delete whose answer was lost.
func (w *writer) noticed(identity string, err error) error {
	if apierrors.IsNotFound(err) {
		delete(w.exists, identity)
	}
	return err
}

func (w *writer) content() string {
	w.changes++
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var b strings.Builder
	for range w.padding {
		b.WriteByte(letters[w.random.IntN(len(letters))])
	}
	return b.String()
}

func count(counter *atomic.Int64, err error) error {
	if err == nil {
		counter.Add(1)
	}
	return err
}
