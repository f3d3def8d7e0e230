package ftp

import (
	"path"
	"strings"

	"example.com/conn"
)

// url returns the URL of the file that a command of c names.
func (l *log) url(c *conn.Connection, name string) string {
	host := c.ID.Resp.Addr()
	p := join(l.cwd, name)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	if host.Is6() {
		return "ftp://[" + host.String() + "]" + p
	}
	return "ftp://" + host.String() + p
}

// join returns the shortest path for name in dir. It begins with "./" if it is relative.
func join(dir, name string) string {
	if absolute(name) {
		return path.Clean(name)
	}
	p := path.Join(dir, name)
	if p != "." && !absolute(p) {
		p = "./" + p
	}
	return p
}

// absolute reports whether p is an absolute path, of Unix or of Windows.
func absolute(p string) bool {
	drive := len(p) >= 3 && 'a' <= p[0]|0x20 && p[0]|0x20 <= 'z' && p[1] == ':' && (p[2] == '/' || p[2] == '\\')
	return drive || strings.HasPrefix(p, "/")
}

// findPath returns the first absolute path in a reply, preferably a quoted one.
func findPath(text string) string {
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, `"`)
		if !ok {
			break
		}
		if name, _, ok := strings.Cut(after, `"`); ok && absolute(name) {
			return name
		}
		rest = after
	}
	for i := range len(text) {
		if absolute(text[i:]) {
			name := text[i:]
			if end := strings.IndexAny(name, `" `); end >= 0 {
				name = name[:end]
			}
			return name
		}
	}
	return ""
}
