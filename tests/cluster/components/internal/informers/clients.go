package informers

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	clientinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"watchgate.test/components/internal/record"
)

const (
	protobuf = runtime.ContentTypeProtobuf
	asJSON   = runtime.ContentTypeJSON
)

// build makes one informer per resource. Discovery goes through the plain configuration, the informers' own requests through
// the recorded one.
func build(ctx context.Context, plain, recorded *rest.Config, o *options) ([]*informer, error) {
	if o.contentType != "protobuf" && o.contentType != "json" {
		return nil, fmt.Errorf("--content-type is protobuf or json, not %q", o.contentType)
	}
	found, err := discoverAll(ctx, plain, o.resources)
	if err != nil {
		return nil, err
	}
	var made []*informer
	for _, name := range o.resources {
		shared, err := newShared(recorded, o, found[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		made = append(made, &informer{resource: name, shared: shared})
	}
	return made, nil
}

func newShared(config *rest.Config, o *options, gvr schema.GroupVersionResource) (cache.SharedIndexInformer, error) {
	config = rest.CopyConfig(config)
	switch o.mode {
	case "metadata":
		client, err := metadata.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		return metadatainformer.NewFilteredMetadataInformer(client, gvr, o.namespace, 0, nil, nil).Informer(), nil
	case "typed":
		if o.contentType == "protobuf" {
			config.ContentType = protobuf
			config.AcceptContentTypes = protobuf + "," + asJSON
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		factory := clientinformers.NewSharedInformerFactoryWithOptions(client, 0, clientinformers.WithNamespace(o.namespace))
		if generic, err := factory.ForResource(gvr); err == nil {
			return generic.Informer(), nil
		}
		config.ContentType, config.AcceptContentTypes = "", "" // No Go type: as the dynamic client.
	case "dynamic":
	default:
		return nil, fmt.Errorf("--mode is typed, dynamic or metadata, not %q", o.mode)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return dynamicinformer.NewFilteredDynamicInformer(client, gvr, o.namespace, 0, nil, nil).Informer(), nil
}

// discoverAll finds the preferred version of each RESOURCE[.GROUP].
func discoverAll(ctx context.Context, config *rest.Config, names []string) (map[string]schema.GroupVersionResource, error) {
	found := map[string]schema.GroupVersionResource{}
	var rest []string
	for _, name := range names {
		if name == "pods" || name == "configmaps" {
			found[name] = schema.GroupVersionResource{Version: "v1", Resource: name}
		} else {
			rest = append(rest, name)
		}
	}
	if len(rest) == 0 {
		return found, nil
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	lists, err := client.ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	for _, name := range rest {
		gvr, ok := lookUp(lists, schema.ParseGroupResource(name))
		if !ok {
			return nil, fmt.Errorf("--resources: the server has no %q", name)
		}
		found[name] = gvr
	}
	return found, ctx.Err()
}

func lookUp(lists []*metav1.APIResourceList, wanted schema.GroupResource) (schema.GroupVersionResource, bool) {
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil || version.Group != wanted.Group {
			continue
		}
		for i := range list.APIResources {
			if list.APIResources[i].Name == wanted.Resource {
				return version.WithResource(wanted.Resource), true
			}
		}
	}
	return schema.GroupVersionResource{}, false
}

// requestRecorder writes down every request and the head of its response. With contentType json it takes protobuf out of
// Accept, which the metadata client would ask for in any case.
func requestRecorder(writer *record.Writer, contentType string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if contentType == "json" {
				request = request.Clone(request.Context())
				withoutProtobuf(request.Header)
			}
			started := time.Now()
			response, err := next.RoundTrip(request)
			line := record.Line{
				Type: record.TypeRequest, Method: request.Method, Target: request.URL.RequestURI(), Verb: verb(request),
				Seconds: time.Since(started).Seconds(),
			}
			if err != nil {
				line.Error = err.Error()
			} else {
				line.Status = response.StatusCode
				line.ContentType = response.Header.Get("Content-Type")
				line.CacheStatus = strings.Join(response.Header.Values("Cache-Status"), ", ")
			}
			writer.Write(line)
			return response, err
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func withoutProtobuf(header http.Header) {
	var kept []string
	for _, part := range strings.Split(header.Get("Accept"), ",") {
		if !strings.HasPrefix(strings.TrimSpace(part), protobuf) {
			kept = append(kept, part)
		}
	}
	if len(kept) > 0 {
		header.Set("Accept", strings.Join(kept, ","))
	}
}

func verb(request *http.Request) string {
	query := request.URL.Query()
	switch {
	case request.Method != http.MethodGet:
		return "other"
	case query.Get("watch") != "true" && query.Get("watch") != "1":
		return "list"
	case query.Get("sendInitialEvents") == "true":
		return "watch-list"
	default:
		return "watch"
	}
}
