// Components of a real Kubernetes control plane, and a few programs which exercise one, for watchgate's tests.
//
// One binary holds everything because nearly all of the build time is spent in the packages which the parts share. The first
// argument picks the part: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl run the published code of
// their projects through its own command constructors, unchanged and with its own flags. etcd-snapshot stands for what etcdctl
// and etcdutl do with snapshots. It, kubelet-stand-in, informers, compare and churn are written for these tests and described
// in packages of their own.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // CronJobs name time zones; the machine may have no zone database.

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl's credential plugins.
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"watchgate.test/components/internal/churn"
	"watchgate.test/components/internal/compare"
	"watchgate.test/components/internal/informers"
	"watchgate.test/components/internal/standin"
	"watchgate.test/components/internal/storesnapshot"
)

// parts maps the first argument to what it runs. Each finds its own name and flags in os.Args and never returns.
var parts = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"etcd-snapshot":           func() { run(storesnapshot.Command()) },
	"kube-apiserver":          func() { run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() { run(controllermanager.NewControllerManagerCommand()) },
	"kube-scheduler":          func() { run(scheduler.NewSchedulerCommand()) },
	"kubectl":                 runKubectl,
	"kubelet-stand-in":        func() { run(standin.Command()) },
	"informers":               func() { run(informers.Command()) },
	"compare":                 func() { run(compare.Command()) },
	"churn":                   func() { run(churn.Command()) },
}

func main() {
	names := make([]string, 0, len(parts))
	for name := range parts {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(os.Args) < 2 || parts[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: %s PART [FLAGS]\nPART is one of: %s\n", filepath.Base(os.Args[0]), strings.Join(names, ", "))
		os.Exit(2)
	}
	part := parts[os.Args[1]]
	// The parts derive their flags, their user agent and their messages from os.Args, as if each were a program of its own.
	os.Args = os.Args[1:]
	part()
}

func run(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

// runKubectl does as kubectl's own main function: the log verbosity must hold before the command is built.
func runKubectl() {
	if _, err := logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)); err != nil {
		kubectlutil.CheckErr(err)
	}
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}
