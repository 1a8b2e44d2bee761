// Package informers runs client-go's shared informers as any controller does and writes down all they tell, so that a run
// through a gateway can be held against a run with the API server itself (see package compare).
//
// It records every event, every HTTP request, and at the end the informers' stores.
package informers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/util/feature"
	clientfeatures "k8s.io/client-go/features"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"watchgate.test/components/internal/connect"
	"watchgate.test/components/internal/record"
)

type options struct {
	kubeconfig  string
	mode        string
	contentType string
	watchList   bool
	resources   []string
	namespace   string
	out         string
	duration    time.Duration
}

// Command is the informers part.
func Command() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:          "informers",
		Short:        "Run shared informers and record their events, requests and stores",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return run(ctx, &o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server or gateway (required)")
	flags.StringVar(&o.mode, "mode", "typed", "client: typed, dynamic or metadata; typed uses dynamic for custom resources")
	flags.StringVar(&o.contentType, "content-type", "protobuf",
		"protobuf or json; the dynamic client knows no protobuf and always takes json")
	flags.BoolVar(&o.watchList, "watch-list", true, "start with a streaming list (client-go's WatchListClient)")
	flags.StringSliceVar(&o.resources, "resources", []string{"pods", "configmaps"},
		"resources, as RESOURCE.GROUP; pods and configmaps need no group, others are found by discovery")
	flags.StringVar(&o.namespace, "namespace", "", "only this namespace; empty for all")
	flags.StringVar(&o.out, "out", "", "file to write, JSON lines (required)")
	flags.DurationVar(&o.duration, "duration", time.Hour, "stop after this time, if SIGTERM doesn't come first")
	return command
}

func run(ctx context.Context, o *options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, o.duration)
	defer cancel()
	if o.out == "" {
		return errors.New("--out is required")
	}
	if err := setWatchList(o.watchList); err != nil {
		return err
	}
	config, err := connect.Config(o.kubeconfig)
	if err != nil {
		return err
	}
	writer, err := record.Create(o.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, writer.Close()) }()

	recorded := rest.CopyConfig(config)
	recorded.Wrap(requestRecorder(writer, o.contentType))
	running, err := build(ctx, config, recorded, o)
	if err != nil {
		return err
	}
	for _, informer := range running {
		if err := informer.start(ctx, writer); err != nil {
			return err
		}
	}
	for _, informer := range running {
		if !cache.WaitForCacheSync(ctx.Done(), informer.registration.HasSynced) {
			break // Stopped early; the stores written below tell how far it came.
		}
		writer.Write(record.Line{
			Type: record.TypeSynced, Resource: informer.resource,
			ResourceVersion: informer.shared.LastSyncResourceVersion(),
		})
		fmt.Printf("synced %s\n", informer.resource)
	}
	<-ctx.Done()
	for _, informer := range running {
		if err := informer.finish(writer); err != nil {
			return err
		}
	}
	return nil
}

// setWatchList sets client-go's feature, which this binary keeps in the control plane's feature gates.
func setWatchList(enabled bool) error {
	name := string(clientfeatures.WatchListClient)
	if err := feature.DefaultMutableFeatureGate.SetFromMap(map[string]bool{name: enabled}); err != nil {
		return err
	}
	if clientfeatures.FeatureGates().Enabled(clientfeatures.WatchListClient) != enabled {
		return fmt.Errorf("client-go doesn't take %s=%t", name, enabled)
	}
	return nil
}

// informer is one resource's informer.
type informer struct {
	resource     string
	shared       cache.SharedIndexInformer
	registration cache.ResourceEventHandlerRegistration
	stopped      chan struct{}
}

func (i *informer) start(ctx context.Context, writer *record.Writer) (err error) {
	emit := func(event string, obj any, initial bool) {
		line, err := i.describe(obj)
		if err != nil {
			line = record.Line{Error: err.Error()}
		}
		line.Type, line.Event, line.Initial = record.TypeEvent, event, initial
		writer.Write(line)
	}
	i.registration, err = i.shared.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(obj any, initial bool) { emit("add", obj, initial) },
		UpdateFunc: func(_, obj any) { emit("update", obj, false) },
		DeleteFunc: func(obj any) { emit("delete", obj, false) },
	})
	if err != nil {
		return err
	}
	i.stopped = make(chan struct{})
	go func() {
		defer close(i.stopped)
		i.shared.RunWithContext(ctx)
	}()
	return nil
}

// finish writes the store once the informer has stopped, so that the events which it holds are all written before.
func (i *informer) finish(writer *record.Writer) error {
	<-i.stopped
	for _, obj := range i.shared.GetStore().List() {
		line, err := i.describe(obj)
		if err != nil {
			return err
		}
		line.Type = record.TypeStore
		writer.Write(line)
	}
	return nil
}

func (i *informer) describe(obj any) (record.Line, error) {
	line := record.Line{Resource: i.resource}
	if missing, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		line.LastKnown = true
		obj = missing.Obj
	}
	object, err := meta.Accessor(obj)
	if err != nil {
		return line, err
	}
	line.Key = cache.MetaObjectToName(object).String()
	line.ResourceVersion = object.GetResourceVersion()
	line.UID = string(object.GetUID())
	line.Hash, err = hash(obj)
	return line, err
}

// hash is over the object's JSON with all keys in order, which typed objects and maps alike then have in one form. The kind
// of a PartialObjectMetadata is left out: client-go keeps it for the items of JSON lists, and for no other ones.
func hash(obj any) (string, error) {
	if unstructured, ok := obj.(runtime.Unstructured); ok {
		obj = unstructured.UnstructuredContent()
	}
	if partial, ok := obj.(*metav1.PartialObjectMetadata); ok {
		obj = partial.ObjectMeta
	}
	data, err := json.Marshal(obj)
	if err != nil {
		return "", err
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	var content any
	if err := decoder.Decode(&content); err != nil {
		return "", err
	}
	if data, err = json.Marshal(content); err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
