package main

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/registry/core/pod"
)

type labelCase struct {
	Selector string       `json:"selector"`
	Error    string       `json:"error,omitempty"`
	Objects  []labels.Set `json:"objects,omitempty"`
	Matches  []bool       `json:"matches,omitempty"`
}

func labelCases(g *generator) []any {
	key := func() string { return g.of("a", "b", "c", "in", "notin", "x.io/a", "A_b.c-d") }
	value := func() string { return g.of("", "1", "2", "10", "007", "x", "in", "9223372036854775807") }
	space := func() string { return g.of("", "", "", " ", "\t", "\n", "  ") }
	requirement := func() string {
		switch g.Intn(24) {
		case 0:
			return space() + key() + space()
		case 1:
			return "!" + space() + key()
		case 2, 3, 8, 9, 10, 11:
			operator := g.of("=", "==", "!=")
			return key() + space() + operator + space() + value() + space()
		case 4, 6, 7:
			return key() + g.of(">", "<", " > ", " < ", "<", "<=") + g.of("0", "1", "9", "10", "007", "9223372036854775807", value())
		case 5:
			return g.of("", "a-", "-a", "é", "a/b/c", "/a", "a/", "A/b", "x..y/a", "a b", "(a)", "!!a", "!a=b", "a=(b)", "a=!b", "a===b")
		default:
			set := g.of("(", " (", "( ") + g.many(4, g.of(",", " , "), value) + g.of(")", " )", ")", ")", ")", ")", ")", ")", "", "))")
			return key() + g.of(" ", "\t") + g.of("in", "notin", "in", "notin", "in", "notin", "gt") + set
		}
	}
	selector := func() string {
		separator := g.of(",", ",", ", ", " ,", ",", ",", ",,")
		return g.damaged(g.many(4, separator, requirement), ",=!()<> \tax0-./\\\"\x00")
	}
	object := func() labels.Set {
		set := labels.Set{}
		for range g.Intn(4) {
			set[key()] = g.of(value(), "-3", "+5", "1x")
		}
		return set
	}
	given := []string{"", " ", ",", "a,", ",a", "a,,b", "!", "a in ()", "a in (,)", "a notin (x,)", "a in", "in in (in)", "notin",
		"in", "!in", "a>9223372036854775807", "a>9223372036854775808", "a<-9223372036854775808", "a>+1", "a>", "a>0x10", "a>1_0"}
	var cases []any
	for _, text := range distinct(1500, given, selector) {
		parsed, err := labels.Parse(text)
		one := labelCase{Selector: text, Error: message(err)}
		for range 3 {
			if err == nil {
				object := object()
				one.Objects = append(one.Objects, object)
				one.Matches = append(one.Matches, parsed.Matches(object))
			}
		}
		cases = append(cases, one)
	}
	return cases
}

type fieldCase struct {
	Selector string       `json:"selector"`
	Error    string       `json:"error,omitempty"`
	Objects  []fields.Set `json:"objects,omitempty"`
	Matches  []bool       `json:"matches,omitempty"`
}

// fieldCases are about Pods, which have the most fields.
func fieldCases(g *generator) []any {
	label := func() string {
		return g.of("metadata.name", "metadata.namespace", "spec.nodeName", "spec.host", "spec.restartPolicy", "spec.schedulerName",
			"spec.serviceAccountName", "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs",
			"status.nominatedNodeName", "metadata.name", "spec.nodeName", "metadata.name", "spec.nodeName", "status.phase",
			g.of("spec.foo", "", "metadata.name ", "name", "metadata.name", "metadata.name", "metadata.name"))
	}
	value := func() string {
		return g.of("", "a", "b", "n1", "true", "false", "Running", "Always", "10.0.0.1", `a\,b`, `a\=b`, `\\`, "a", "b", "n1",
			g.of(`\x`, `\`, "a=b", "!a", " a", "é", "a", "b"))
	}
	term := func() string {
		return label() + g.of("=", "==", "!=", "=", "==", "!=", "=", "==", "!=", "=", g.of("!", "", "=")) + value()
	}
	selector := func() string { return g.damaged(g.many(4, g.of(",", ",", ",,"), term), `,=!\ ax`) }
	var objects []*core.Pod
	for range 40 {
		one := &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: g.of("a", "b", "n1"), Namespace: g.of("a", "b")}}
		one.Spec.NodeName = g.of("", "n1", "a")
		one.Spec.RestartPolicy = core.RestartPolicy(g.of("Always", "Never"))
		one.Spec.SchedulerName = g.of("", "a")
		one.Spec.ServiceAccountName = g.of("", "b")
		if g.Intn(2) == 0 {
			one.Spec.SecurityContext = &core.PodSecurityContext{HostNetwork: g.Intn(2) == 0}
		}
		one.Status.Phase = core.PodPhase(g.of("", "Running", "a,b"))
		if g.Intn(2) == 0 {
			one.Status.PodIPs = []core.PodIP{{IP: "10.0.0.1"}, {IP: "::1"}}
		}
		objects = append(objects, one)
	}
	var cases []any
	for _, text := range distinct(900, []string{"", ",", "=", "!=,==", "metadata.name", `metadata.name\=x`}, selector) {
		parsed, err := fields.ParseSelector(text)
		if err == nil {
			parsed, err = parsed.Transform(func(label, value string) (string, string, error) {
				return legacyscheme.Scheme.ConvertFieldLabel(core.SchemeGroupVersion.WithKind("Pod").GroupKind().WithVersion("v1"), label, value)
			})
		}
		one := fieldCase{Selector: text, Error: message(err)}
		for range 2 {
			if err == nil {
				set := pod.ToSelectableFields(objects[g.Intn(len(objects))])
				maps.DeleteFunc(set, func(_, value string) bool { return value == "" })
				one.Objects = append(one.Objects, set)
				one.Matches = append(one.Matches, parsed.Matches(set))
			}
		}
		cases = append(cases, one)
	}
	return cases
}
