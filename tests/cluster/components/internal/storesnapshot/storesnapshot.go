// Package storesnapshot takes snapshots of a running etcd and makes data directories of them, as an operator does with etcdctl
// and etcdutl. It calls the packages behind those two programs.
package storesnapshot

import (
	"fmt"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
)

// member is the name of the test cluster's only etcd member, which is etcd's default.
const member = "default"

// Command is the etcd-snapshot part.
func Command() *cobra.Command {
	command := &cobra.Command{
		Use:          "etcd-snapshot",
		Short:        "Save a snapshot of etcd, or restore one into a new data directory",
		SilenceUsage: true,
	}
	command.AddCommand(saveCommand(), restoreCommand())
	return command
}

func saveCommand() *cobra.Command {
	var endpoint string
	command := &cobra.Command{
		Use:   "save FILE",
		Short: "Save a snapshot of the etcd at --endpoint",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			config := clientv3.Config{Endpoints: []string{endpoint}}
			version, err := snapshot.NewV3(zap.NewNop()).Save(command.Context(), config, args[0])
			if err != nil {
				return fmt.Errorf("snapshot of %s: %w", endpoint, err)
			}
			fmt.Println("saved from etcd", version)
			return nil
		},
	}
	command.Flags().StringVar(&endpoint, "endpoint", "", "etcd's client URL")
	return command
}

func restoreCommand() *cobra.Command {
	var dataDir, peer string
	var bump uint64
	command := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the data directory --data-dir, which must not exist, of a snapshot",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
				SnapshotPath:        args[0],
				Name:                member,
				OutputDataDir:       dataDir,
				PeerURLs:            []string{peer},
				InitialCluster:      member + "=" + peer,
				InitialClusterToken: "etcd-cluster",
				RevisionBump:        bump,
				MarkCompacted:       bump > 0,
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&dataDir, "data-dir", "", "the new data directory")
	flags.StringVar(&peer, "peer", "", "etcd's peer URL")
	flags.Uint64Var(&bump, "bump-revision", 0, "raise the revision by this much and mark what came before as compacted")
	return command
}
