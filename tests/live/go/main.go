// The sub-command `launch` of Ollama's own command, without the rest of that command, which needs a C++ compiler and llama.cpp.
package main

import (
	"os"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/cmd/config"
	"github.com/spf13/cobra"
)

func heartbeat(cmd *cobra.Command, _ []string) error {
	client, err := api.ClientFromEnvironment()
	if err != nil {
		return err
	}
	return client.Heartbeat(cmd.Context())
}

func main() {
	root := &cobra.Command{Use: "ollama", SilenceUsage: true}
	root.AddCommand(config.LaunchCmd(heartbeat, func(*cobra.Command) {}))
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
