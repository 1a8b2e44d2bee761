// Package connect builds client configurations for the programs of this module: from a kubeconfig, without client-side rate
// limits, so that a test measures the server's pace and not client-go's.
package connect

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config reads the kubeconfig at path. The user agent is the name of the running part.
func Config(path string) (*rest.Config, error) {
	if path == "" {
		return nil, fmt.Errorf("--kubeconfig is required")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	config.QPS = -1
	config.UserAgent = "watchgate-test-" + filepath.Base(os.Args[0])
	return config, nil
}
