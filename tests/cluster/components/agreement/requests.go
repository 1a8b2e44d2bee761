package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/emicklei/go-restful/v3"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metainternalversionscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metainternalversionvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/kubernetes/scheme"
)

type acceptCase struct {
	Accept string `json:"accept"`
	// The outcome by who serves: a media type, with the transform behind it, or nothing.
	BuiltIn *accepted `json:"builtIn"`
	Custom  *accepted `json:"custom"`
}

type accepted struct {
	MediaType string `json:"mediaType"`
	Transform string `json:"transform,omitempty"`
	Pretty    bool   `json:"pretty,omitempty"`
}

func acceptCases(g *generator) []any {
	parameter := func() string {
		return g.of(";q=0.5", ";q=1", ";q=0", "; q=.2", ";q=2", ";charset=utf-8", ";as=Table;g=meta.k8s.io;v=v1", ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
			";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1", ";v=v1;g=meta.k8s.io", ";as=Table",
			";stream=watch", ";stream=x", ";pretty=1", ";pretty=0", ";sv=v1", ";", ";=", ";a=b=", ";q", ";as=;g=meta.k8s.io;v=v1")
	}
	clause := func() string {
		media := g.of("application/json", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf",
			"*/*", "application/*", "*", "text/html", "application/cbor", "", "application", "application/json/", "application/json/x", "APPLICATION/JSON",
			" application/json", "*/json", "application /json")
		return g.of("", "", " ", "\t") + media + g.many(3, "", parameter) + g.of("", "", " ")
	}
	header := func() string { return g.damaged(g.many(5, ",", clause), ",;=*/ q") }
	var cases []any
	for _, text := range distinct(2000, []string{"*/*", "application/json", "application/yaml;q=0.5,*/*;q=1"}, header) {
		// What HTTP trims, no server sees.
		if text != strings.Trim(text, " \t") || text == "" {
			continue
		}
		cases = append(cases, acceptCase{text, routed(text), negotiated(text, &handlers.RequestScope{
			StandardSerializers: scheme.Codecs.WithoutConversion().SupportedMediaTypes()[:2],
		})})
	}
	return cases
}

// routed is the outcome for built-in types, in front of which a router looks at the header, too.
func routed(accept string) *accepted {
	var outcome *accepted
	mediaTypes, _ := negotiation.MediaTypesForSerializer(scheme.Codecs)
	service := new(restful.WebService).Path("/")
	service.Route(service.GET("/").Produces(mediaTypes...).To(func(_ *restful.Request, _ *restful.Response) {
		outcome = negotiated(accept, &handlers.RequestScope{})
	}))
	container := restful.NewContainer()
	container.Add(service)
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Accept", accept)
	container.ServeHTTP(httptest.NewRecorder(), request)
	return outcome
}

func negotiated(accept string, scope *handlers.RequestScope) *accepted {
	scope.TableConvertor = rest.NewDefaultTableConvertor(scheme.Scheme.PrioritizedVersionsForGroup("")[0].WithResource("pods").GroupResource())
	scope.MetaGroupVersion = metav1.SchemeGroupVersion
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Accept", accept)
	options, info, err := negotiation.NegotiateOutputMediaType(request, runtime.NegotiatedSerializer(scheme.Codecs), scope)
	if err != nil {
		return nil
	}
	outcome := &accepted{MediaType: info.MediaType, Pretty: options.Pretty}
	if options.Convert != nil {
		outcome.Transform = options.Convert.Kind + "." + options.Convert.Version
	}
	return outcome
}

type pathCase struct {
	Method string       `json:"method"`
	Target string       `json:"target"`
	Error  string       `json:"error,omitempty"`
	Info   *requestInfo `json:"info,omitempty"`
}

// requestInfo is what is known of a request for a resource.
type requestInfo struct {
	Verb        string `json:"verb,omitempty"`
	Group       string `json:"group,omitempty"`
	Version     string `json:"version"`
	Namespace   string `json:"namespace,omitempty"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	Name        string `json:"name,omitempty"`
	Fields      string `json:"fields,omitempty"`
	Labels      string `json:"labels,omitempty"`
}

func pathCases(g *generator) []any {
	part := func() string {
		return g.of("namespaces", "namespaces", "ns", "pods", "pods", "nodes", "a", "b", "status", "finalize", "log", "watch", "proxy", "scale", "", ".", "..",
			"a%2Fb", "a:b", "é")
	}
	query := func() string {
		return g.of("", "", "", "?watch=1", "?watch=0", "?watch", "?watch=true&fieldSelector=metadata.name%3Dx", "?fieldSelector=metadata.name%3Dx",
			"?fieldSelector=metadata.name%3Da%2Fb", "?fieldSelector=metadata.name%21%3Dx", "?labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn",
			"?fieldSelector=metadata.name%3D..", "?limit=x&watch=1", "?fieldSelector=oops&watch=1", "?labelSelector=(&fieldSelector=metadata.name%3Dx",
			"?fieldSelector=metadata.name%3Dy%2Cmetadata.name%3Dx", "?labelSelector=a&labelSelector=b", "?fieldSelector=metadata.name%3D")
	}
	target := func() string {
		prefix := g.of("/api/v1", "/api/v1", "/apis/apps/v1", "/apis/apps/v1", "/api", "/apis/apps", "/healthz", "", "/apis", "//api/v1", "/API/v1")
		return prefix + "/" + g.many(6, "/", part) + query()
	}
	factory := &apirequest.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	var cases []any
	for _, target := range distinct(1800, []string{"/", "/api", "/apis/", "/api/v1/watch", "/api/v1/namespaces/x/pods"}, target) {
		parsed, err := url.ParseRequestURI(target)
		if err != nil {
			continue
		}
		method := g.of("GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
		request := &http.Request{Method: method, URL: parsed}
		info, err := factory.NewRequestInfo(request)
		one := pathCase{Method: method, Target: target, Error: message(err)}
		if err == nil && info.IsResourceRequest {
			one.Info = &requestInfo{info.Verb, info.APIGroup, info.APIVersion, info.Namespace, info.Resource, info.Subresource, info.Name,
				info.FieldSelector, info.LabelSelector}
		}
		cases = append(cases, one)
	}
	return cases
}

type optionCase struct {
	Query string `json:"query"`
	// Error is from decoding or from validation.
	Error   string   `json:"error,omitempty"`
	Options *options `json:"options,omitempty"`
}

// options are those of a list or watch, defaulted and valid. Selectors have files of their own.
type options struct {
	Watch             bool   `json:"watch,omitempty"`
	Bookmarks         bool   `json:"bookmarks,omitempty"`
	SendInitialEvents *bool  `json:"sendInitialEvents,omitempty"`
	ResourceVersion   string `json:"resourceVersion,omitempty"`
	Match             string `json:"match,omitempty"`
	TimeoutSeconds    *int64 `json:"timeoutSeconds,omitempty"`
	Limit             int64  `json:"limit,omitempty"`
	Continue          string `json:"continue,omitempty"`
}

func optionCases(g *generator) []any {
	boolean := func() string { return g.of("", "=", "=1", "=0", "=true", "=false", "=FALSE", "=x", "=t") }
	one := func() string {
		switch g.Intn(9) {
		case 0:
			return "watch" + boolean()
		case 1:
			return "allowWatchBookmarks" + boolean()
		case 2:
			return "sendInitialEvents" + boolean()
		case 3, 4:
			return "resourceVersion=" + g.of("", "0", "5", "00", "007", "x", "-1", "18446744073709551616", "%35", "", "0", "7", "7", "9")
		case 5:
			return "resourceVersionMatch=" + g.of("", "Exact", "NotOlderThan", "NotOlderThan", "NotOlderThan", "NotOlderThan", "exact")
		case 6:
			return g.of("limit", "timeoutSeconds") + "=" + g.of("0", "5", "-1", "3", "500", "007", g.of("", "x", "1.5", "+3", "9223372036854775807", "9223372036854775808", "+", "%2B3", "0x5", "1_0"))
		case 7:
			return "continue=" + g.of("", "a", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6ODEyLCJzdGFydCI6Ii9kZWZhdWx0L2FcdTAwMDAifQ")
		default:
			return g.of("labelSelector=a", "labelSelector=a%3D%3Db", "labelSelector=a%2Cb", "allowWatchBookmarks=1", "fieldSelector=metadata.name%3Dy", "labelSelector=(", "fieldSelector=metadata.name", "fieldSelector=metadata.name%3Dx", "labelSelector=",
				"labelSelector=%zz", "a;b=1", "labelSelector=a+in+(b)", "other=1")
		}
	}
	query := func() string { return g.many(6, "&", one) }
	var cases []any
	for _, text := range distinct(1500, nil, query) {
		read := metainternalversion.ListOptions{}
		values, _ := url.ParseQuery(text)
		err := metainternalversionscheme.ParameterCodec.DecodeParameters(values, metav1.SchemeGroupVersion, &read)
		result := optionCase{Query: text, Error: message(err)}
		if err == nil {
			metainternalversion.SetListOptionsDefaults(&read, true)
			if errs := metainternalversionvalidation.ValidateListOptions(&read, true); len(errs) > 0 {
				result.Error = errs.ToAggregate().Error()
			} else {
				result.Options = &options{read.Watch, read.AllowWatchBookmarks, read.SendInitialEvents, read.ResourceVersion,
					string(read.ResourceVersionMatch), read.TimeoutSeconds, read.Limit, read.Continue}
			}
		}
		cases = append(cases, result)
	}
	return cases
}
