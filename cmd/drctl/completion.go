package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says where the script goes.
func (c *completionCommand) Help() string {
	return `Examples:
  source <(drctl completion bash)                                    # or in ~/.bashrc
  source <(drctl completion zsh)                                     # or in ~/.zshrc, after compinit
  drctl completion fish > ~/.config/fish/completions/drctl.fish`
}

func (c *completionCommand) Run(s streams, call *kong.Context) error {
	rows, values := completions(call.Model.Node, nil)
	switch c.Shell {
	case "fish":
		fish(s.out, rows, values)
	case "zsh":
		fmt.Fprintln(s.out, "autoload -Uz bashcompinit && bashcompinit")
		fallthrough
	default:
		bash(s.out, rows, values)
	}
	return nil
}

// completion is a command, or the program itself, with what may follow it.
type completion struct {
	path     []string
	commands []*kong.Node
	flags    []*kong.Flag
}

// completions walks the commands, and gives the values of flags that take one
// of a few.
func completions(n *kong.Node, path []string) (rows []completion, values map[string][]string) {
	values = map[string][]string{}
	row := completion{path: path}
	for _, group := range n.AllFlags(true) {
		row.flags = append(row.flags, group...)
	}
	for _, f := range row.flags {
		for _, v := range f.EnumSlice() {
			if v != "" {
				values["--"+f.Name] = append(values["--"+f.Name], v)
			}
		}
	}
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		row.commands = append(row.commands, child)
		some, theirs := completions(child, append(slices.Clone(path), child.Name))
		rows = append(rows, some...)
		for name, all := range theirs {
			values[name] = append(values[name], all...)
		}
	}
	for name, all := range values {
		slices.Sort(all)
		values[name] = slices.Compact(all)
	}
	return append([]completion{row}, rows...), values
}

// words are what may follow a command.
func (c completion) words() string {
	var all []string
	for _, n := range c.commands {
		all = append(all, n.Name)
	}
	for _, f := range c.flags {
		all = append(all, "--"+f.Name)
	}
	return strings.Join(all, " ")
}

func bash(out io.Writer, rows []completion, values map[string][]string) {
	fmt.Fprint(out, `_drctl() {
  local cur="${COMP_WORDS[COMP_CWORD]}" path="" word words=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
`)
	for _, row := range rows[1:] {
		fmt.Fprintf(out, "      %q) path=\"$path $word\" ;;\n", " "+strings.Join(row.path, " "))
	}
	fmt.Fprint(out, "    esac\n  done\n  case \"${COMP_WORDS[COMP_CWORD-1]}\" in\n")
	for _, name := range sortedNames(values) {
		fmt.Fprintf(out, "    %s) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n", name, strings.Join(values[name], " "))
	}
	fmt.Fprint(out, "  esac\n  case \"$path\" in\n")
	for _, row := range rows {
		path := ""
		if len(row.path) > 0 {
			path = " " + strings.Join(row.path, " ")
		}
		fmt.Fprintf(out, "    %q) words=%q ;;\n", path, row.words())
	}
	fmt.Fprint(out, "  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _drctl drctl\n")
}

func sortedNames(values map[string][]string) []string {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func fish(out io.Writer, rows []completion, values map[string][]string) {
	quoted := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	for _, row := range rows {
		when := "__fish_use_subcommand"
		if len(row.path) > 0 {
			when = "__fish_seen_subcommand_from " + row.path[0]
			for _, next := range row.path[1:] {
				when += "; and __fish_seen_subcommand_from " + next
			}
		}
		for _, n := range row.commands {
			only := when
			if len(row.path) > 0 { // until one of them is there
				only += "; and not __fish_seen_subcommand_from " + completion{commands: row.commands}.words()
			}
			fmt.Fprintf(out, "complete -c drctl -n %s -f -a %s -d %s\n", quoted(only), n.Name, quoted(n.Help))
		}
		for _, f := range row.flags {
			line := fmt.Sprintf("complete -c drctl -n %s -l %s", quoted(when), f.Name)
			switch all := values["--"+f.Name]; {
			case len(all) > 0:
				line += " -x -a " + quoted(strings.Join(all, " "))
			case !f.IsBool():
				line += " -r"
			}
			fmt.Fprintf(out, "%s -d %s\n", line, quoted(f.Help))
		}
	}
}
