// Writes the table by which the embedded store reads protobuf bodies of built-in kinds.
//
//	go run . > ../../src/embedded/protobuf_schema.txt
//
// It looks at the Go types of the Kubernetes release in go.mod: their tags have the number of each
// field in protobuf, its name in JSON, and whether a zero value is written to JSON. Whatever the
// table cannot express ends the program, so that no field is lost without notice.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"log"
	"maps"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Types which write themselves to JSON, with the shape that stands for them.
var leaves = map[reflect.Type]string{
	reflect.TypeFor[metav1.Time]():        "time",
	reflect.TypeFor[metav1.MicroTime]():   "microtime",
	reflect.TypeFor[intstr.IntOrString](): "intorstring",
}

// Types whose JSON is that of one of their fields: the first of these which is present.
var choices = map[reflect.Type][]string{
	reflect.TypeFor[resource.Quantity]():                          {"1 string text keep"},
	reflect.TypeFor[runtime.RawExtension]():                       {"1 raw json keep"},
	reflect.TypeFor[metav1.FieldsV1]():                            {"1 raw json keep"},
	reflect.TypeFor[apiextensions.JSON]():                         {"1 raw json keep"},
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrBool]():        {"2 schema @JSONSchemaProps keep", "1 allows bool keep"},
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrArray]():       {"2 schemas @JSONSchemaProps repeated", "1 schema @JSONSchemaProps keep"},
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrStringArray](): {"2 property text repeated", "1 schema @JSONSchemaProps keep"},
}

type table struct {
	names    map[reflect.Type]string
	taken    map[string]bool
	messages []string
}

func main() {
	scheme := scheme.Scheme
	must(apiextensions.AddToScheme(scheme))
	must(apiregistration.AddToScheme(scheme))
	t := &table{names: map[reflect.Type]string{}, taken: map[string]bool{}}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(out, "# Made by tools/protobuf-schema from the Go types of k8s.io/api %s; not edited by hand.\n", release())
	fmt.Fprintln(out, "# The form is explained in protobuf_schema.rs.")
	known := scheme.AllKnownTypes()
	// In this order, so that the core group's messages have the short names every time.
	order := slices.SortedFunc(maps.Keys(known), func(a, b schema.GroupVersionKind) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Kind, b.Kind))
	})
	var kinds []string
	for _, gvk := range order {
		if _, object := known[gvk].FieldByName("ObjectMeta"); object && served(gvk.Group, gvk.Version) {
			kinds = append(kinds, fmt.Sprintf("kind %s %s %s", gvk.GroupVersion(), gvk.Kind, t.name(known[gvk])))
		}
	}
	// Every group has it under its own version.
	kinds = append(kinds, "kind * DeleteOptions "+t.name(reflect.TypeFor[metav1.DeleteOptions]()))
	slices.Sort(kinds)
	slices.Sort(t.messages)
	for _, line := range append(kinds, t.messages...) {
		fmt.Fprintln(out, line)
	}
	must(out.Flush())
}

// Whether the store serves a version: stable ones only.
func served(group, version string) bool {
	return version == "v1" && group != "imagepolicy.k8s.io" || group == "autoscaling" && version == "v2"
}

// The name of a message, which is described when it is first met.
func (t *table) name(goType reflect.Type) string {
	if name, known := t.names[goType]; known {
		return name
	}
	name := goType.Name()
	if t.taken[name] {
		parts := strings.Split(goType.PkgPath(), "/")
		name = parts[len(parts)-2] + "." + parts[len(parts)-1] + "." + name
	}
	if t.taken[name] {
		log.Fatalf("two messages %s", name)
	}
	t.taken[name], t.names[goType] = true, name
	lines := []string{"message " + name}
	if fields, ok := choices[goType]; ok {
		lines[0] = "choice " + name
		for _, field := range fields {
			lines = append(lines, "  "+field)
		}
		if strings.Contains(strings.Join(fields, " "), "@JSONSchemaProps") {
			t.name(reflect.TypeFor[apiextensions.JSONSchemaProps]())
		}
	} else if goType.Kind() == reflect.Slice {
		// A list that is a message has its items as the only field.
		lines[0] = "choice " + name
		lines = append(lines, "  1 items text repeated")
	} else {
		for i := range goType.NumField() {
			if line := t.field(goType, goType.Field(i)); line != "" {
				lines = append(lines, "  "+line)
			}
		}
	}
	t.messages = append(t.messages, strings.Join(lines, "\n"))
	return name
}

// A line `NUMBER NAME SHAPE [map|repeated|keep|inline]`, empty for what protobuf does not have.
func (t *table) field(owner reflect.Type, field reflect.StructField) string {
	tag, ok := field.Tag.Lookup("protobuf")
	if !ok || tag == "-" {
		// The kind and version of a whole object are in the envelope.
		if field.Type != reflect.TypeFor[metav1.TypeMeta]() && field.Tag.Get("json") != "-" {
			log.Fatalf("%s.%s has no protobuf tag", owner, field.Name)
		}
		return ""
	}
	number, err := strconv.Atoi(strings.Split(tag, ",")[1])
	must(err)
	name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
	goType, suffix := field.Type, ""
	// Such a list, ExtraValue for one, is a message of its own in protobuf.
	_, listMessage := reflect.PointerTo(goType).MethodByName("Unmarshal")
	switch {
	case goType.Kind() == reflect.Pointer:
		goType, suffix = goType.Elem(), " keep"
	case goType.Kind() == reflect.Map:
		if goType.Key().Kind() != reflect.String {
			log.Fatalf("%s.%s: keys of %s", owner, field.Name, goType.Key())
		}
		goType, suffix = goType.Elem(), " map"
	case goType.Kind() == reflect.Slice && goType.Elem().Kind() != reflect.Uint8 && !listMessage:
		goType, suffix = goType.Elem(), " repeated"
	case name == "" && strings.Contains(options, "inline"):
		name, suffix = "-", " inline"
	case goType.Kind() == reflect.Struct && !strings.Contains(options, "omitzero"),
		goType.Kind() != reflect.Struct && !strings.Contains(options, "omitempty"):
		suffix = " keep"
	}
	if name == "" {
		log.Fatalf("%s.%s has no name in JSON", owner, field.Name)
	}
	return fmt.Sprintf("%d %s %s%s", number, name, t.shape(goType), suffix)
}

// How one value is read.
func (t *table) shape(goType reflect.Type) string {
	if leaf, ok := leaves[goType]; ok {
		return leaf
	}
	switch goType.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "bool"
	case reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "double"
	case reflect.Struct:
		return "@" + t.name(goType)
	case reflect.Slice:
		if goType.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		if goType.Elem().Kind() == reflect.String && goType.Name() != "" {
			return "@" + t.name(goType)
		}
	}
	log.Fatalf("no shape for %s", goType)
	return ""
}

// The version of k8s.io/api that is looked at.
func release() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "k8s.io/api" {
			return module.Version
		}
	}
	log.Fatal("no module k8s.io/api")
	return ""
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
