package churn

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
)

const widgets = "widgets.example.com"

// kind is one of the resources which churn can write.
type kind struct {
	resource schema.GroupVersionResource
	object   func(namespace, name, content string) *unstructured.Unstructured
}

var kinds = map[string]kind{
	"pods": {
		resource: schema.GroupVersionResource{Version: "v1", Resource: "pods"},
		object: func(namespace, name, content string) *unstructured.Unstructured {
			o := object("v1", "Pod", namespace, name, content)
			o.Object["spec"] = map[string]any{
				"schedulerName": "nobody",
				"containers":    []any{map[string]any{"name": "main", "image": "example.com/image:1"}},
			}
			return o
		},
	},
	"configmaps": {
		resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		object: func(namespace, name, content string) *unstructured.Unstructured {
			o := object("v1", "ConfigMap", namespace, name, content)
			o.Object["data"] = map[string]any{"content": content}
			return o
		},
	},
	widgets: {
		resource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"},
		object: func(namespace, name, content string) *unstructured.Unstructured {
			o := object("example.com/v1", "Widget", namespace, name, content)
			o.Object["spec"] = map[string]any{"content": content, "size": int64(len(content))}
			return o
		},
	},
}

func object(version, kind, namespace, name, content string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": version,
		"kind":       kind,
		"metadata": map[string]any{
			"namespace":   namespace,
			"name":        name,
			"labels":      map[string]any{"change": "0", "made-by": "churn"},
			"annotations": map[string]any{"padding": content},
		},
	}}
}

var (
	namespaceResource  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	accountResource    = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	definitionResource = schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	}
)

// prepare creates the namespaces, each with the service account which pods need where no controller manager makes it, and the
// widgets.
func prepare(ctx context.Context, client dynamic.Interface, o *options) error {
	for i := range o.namespaces {
		name := fmt.Sprintf("churn-%d", i)
		namespace := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
		}}
		if _, err := client.Resource(namespaceResource).Create(ctx, namespace, meta.CreateOptions{}); ignoreExisting(err) != nil {
			return err
		}
		account := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "default", "namespace": name},
		}}
		_, err := client.Resource(accountResource).Namespace(name).Create(ctx, account, meta.CreateOptions{})
		if ignoreExisting(err) != nil {
			return err
		}
	}
	for _, resource := range o.resources {
		if resource == widgets {
			return defineWidgets(ctx, client)
		}
	}
	return nil
}

func defineWidgets(ctx context.Context, client dynamic.Interface) error {
	definition := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": widgets},
		"spec": map[string]any{
			"group": "example.com",
			"scope": "Namespaced",
			"names": map[string]any{"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object",
					"properties": map[string]any{
						"spec": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
					},
				}},
			}},
		},
	}}
	_, err := client.Resource(definitionResource).Create(ctx, definition, meta.CreateOptions{})
	if ignoreExisting(err) != nil {
		return err
	}
	// The list answers as soon as the server has taken the definition up.
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := client.Resource(kinds[widgets].resource).List(ctx, meta.ListOptions{Limit: 1})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

func ignoreExisting(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
