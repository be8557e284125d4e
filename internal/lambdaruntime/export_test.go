package lambdaruntime

// Environment gives a variable that a process was started with.
func (p *Process) Environment(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.box.command.Env {
		if len(v) > len(name) && v[:len(name)+1] == name+"=" {
			return v[len(name)+1:]
		}
	}
	return ""
}
