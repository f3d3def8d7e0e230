package ftp

import (
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/conn"
	"example.com/conn/examples/analyzer/logs"
	"example.com/conn/examples/analyzer/protocol"
)

const (
	maxPending = 20   // commands without a reply; Zeek's FTP::max_pending_commands
	maxName    = 128  // bytes of user names and passwords in a row
	maxText    = 4096 // bytes of other texts in a row, and of the working directory
)

// A Row is a row of the log ftp.
type Row struct {
	logs.Header
	User      string `json:"user"`
	Password  string `json:"password,omitempty"`
	Command   string `json:"command"`
	Arg       string `json:"arg,omitempty"`
	FileSize  *int64 `json:"file_size,omitempty"`
	ReplyCode *int   `json:"reply_code,omitempty"`
	ReplyMsg  string `json:"reply_msg,omitempty"`
	*DataChannel
}

// A DataChannel is the part of a row that says where a data connection is expected.
type DataChannel struct {
	Passive bool       `json:"data_channel.passive"`
	OrigH   netip.Addr `json:"data_channel.orig_h"`
	RespH   netip.Addr `json:"data_channel.resp_h"`
	RespP   uint16     `json:"data_channel.resp_p"`
}

// logged has the commands that have rows; Zeek's FTP::logged_commands.
var logged = []string{"APPE", "DELE", "RETR", "STOR", "STOU", "ACCT", "PORT", "PASV", "EPRT", "EPSV"}

// onFiles has the commands whose argument is a path.
var onFiles = []string{
	"APPE", "CWD", "DELE", "MKD", "RETR", "RMD", "RNFR", "RNTO", "STOR", "STOU", "REST", "SIZE", "MDTM",
}

// guests are users whose passwords are none.
var guests = []string{"anonymous", "ftp", "ftpuser", "guest"}

// A command is a command of the client. The first one, greeting, stands for the connection itself.
type command struct {
	time      time.Time
	verb, arg string
	moved     bool // the reply has changed the working directory
}

const greeting = "<init>"

// log has the commands that are not logged yet, and what goes into the rows.
type log struct {
	pending []*command // oldest first, at most maxPending
	current *command   // the one that the latest reply is of

	user, password string
	cwd            string // the working directory; relative, and "." at first, if it is not known
	fileSize       *int64
	replyCode      *int // of the latest reply: a command without a reply is logged with it, too, as in Zeek
	replyMsg       string
	dataChannel    *DataChannel
}

func newLog(now time.Time) log {
	return log{pending: []*command{{time: now, verb: greeting}}, user: "<unknown>", cwd: "."}
}

// onCommand logs the command that the latest reply is of, for no more replies to it are to come, and makes a new one
// pending.
func (s *state) onCommand(c *conn.Connection, verb, arg string) {
	if s.replyCode != nil && s.done(s.current) {
		s.write(c, s.parser.owner)
	}
	arg = arg[:min(len(arg), maxText)]
	if len(s.pending) < maxPending {
		s.pending = append(s.pending, &command{time: s.now, verb: verb, arg: arg})
	}
	switch verb {
	case "USER":
		s.user = arg[:min(len(arg), maxName)]
	case "PASS":
		s.password = arg[:min(len(arg), maxName)]
	}
}

// done takes cmd from the pending commands and reports whether it was one.
func (l *log) done(cmd *command) bool {
	i := slices.Index(l.pending, cmd)
	if i >= 0 {
		l.pending = slices.Delete(l.pending, i, i+1)
	}
	return i >= 0
}

// onReply takes the first or the last line of a reply and returns the verb of the command that it is of.
func (s *state) onReply(c *conn.Connection, code int, text string) (verb string) {
	s.current = s.match(code, text)
	s.replyCode, s.replyMsg = new(code), text[:min(len(text), maxText)]
	return s.current.verb
}

var status = regexp.MustCompile(`^[1-9][0-9]{2} [ -~]{10}`)

// onReplyLine takes a line inside a reply. Some servers send other replies before the end of a reply of several lines:
// what looks like one counts as in Zeek, without a code.
func (s *state) onReplyLine(c *conn.Connection, line string) {
	if status.MatchString(line) {
		s.onReply(c, 0, line)
	}
}

var count = regexp.MustCompile(`\d+`)

// onReplyEnd takes the last line of a reply, after onReply.
func (s *state) onReplyEnd(c *conn.Connection, code int, text string) {
	cmd := s.current
	switch {
	case code == 150 && cmd.verb == "RETR", code == 213 && cmd.verb == "SIZE":
		if all := count.FindAllString(text, -1); len(all) > 0 {
			if n, err := strconv.ParseInt(all[len(all)-1], 10, 64); err == nil {
				s.fileSize = &n
			}
		}
	case cmd.moved:
	case code == 250 && cmd.verb == "CWD":
		s.move(join(s.cwd, cmd.arg))
	case (code == 200 || code == 250) && cmd.verb == "CDUP":
		s.move(join(s.cwd, ".."))
	case code == 257 && (cmd.verb == "PWD" || cmd.verb == "XPWD"):
		s.move(findPath(text))
	}
	if len(s.pending) > 1 {
		s.done(cmd)
		s.write(c, s.parser.owner)
	}
}

// move makes dir the working directory, by the command at hand.
func (l *log) move(dir string) {
	l.cwd = dir[:min(len(dir), maxText)]
	l.current.moved = true
}

// write logs the command at hand, if its kind is logged.
func (s *state) write(c *conn.Connection, o protocol.Owner) {
	cmd := s.current
	if slices.Contains(logged, cmd.verb) {
		row := &Row{
			Header:      logs.NewHeader("ftp", c, cmd.time),
			User:        logs.Text(s.user),
			Password:    logs.Text(s.password),
			Command:     cmd.verb,
			Arg:         logs.Text(cmd.arg),
			FileSize:    s.fileSize,
			ReplyCode:   s.replyCode,
			ReplyMsg:    logs.Text(s.replyMsg),
			DataChannel: s.dataChannel,
		}
		if s.password != "" && !slices.Contains(guests, strings.ToLower(s.user)) {
			row.Password = "<hidden>"
		}
		if slices.Contains(onFiles, cmd.verb) {
			url := s.url(c, cmd.arg)
			row.Arg = logs.Text(url[:min(len(url), maxText)])
		}
		o.Log(row)
	}
	s.fileSize, s.dataChannel = nil, nil
}

// url returns the URL of a file that a command of c names.
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
	return strings.HasPrefix(p, "/") || drive.MatchString(p)
}

var (
	drive    = regexp.MustCompile(`^[A-Za-z]:[/\\]`)
	quoted   = regexp.MustCompile(`"((?:/|[A-Za-z]:[/\\])[^"]*)"`)
	unquoted = regexp.MustCompile(`(?:/|[A-Za-z]:[/\\])[^" ]*`)
)

// findPath returns the first absolute path in a reply, preferably a quoted one.
func findPath(text string) string {
	if m := quoted.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return unquoted.FindString(text)
}

// match returns the pending command that a reply is most likely of: one that may have such a reply, or that the text
// names; among equals, the oldest.
func (l *log) match(code int, text string) *command {
	best, most := &command{verb: "<unknown>"}, -1
	for _, cmd := range l.pending {
		score := 0
		if code == 500 || slices.Contains(replies[cmd.verb], code) {
			score += 100
		}
		if strings.Contains(text, cmd.verb) {
			score += 20
		}
		if strings.Contains(text, cmd.arg) {
			score += 10
		}
		if score > most {
			best, most = cmd, score
		}
	}
	return best
}

var (
	store = []int{110, 125, 150, 226, 250, 421, 425, 426, 450, 451, 452, 501, 530, 532, 550, 551, 552, 553}
	list  = []int{125, 150, 226, 250, 421, 425, 426, 450, 451, 501, 502, 530, 550}
	info  = []int{213, 501, 550}
)

// replies has the codes that the reply to a command may have, besides 500: RFC 959, and RFC 2228 to 3659.
var replies = map[string][]int{
	greeting: {120, 220, 421, 0},
	"USER":   {230, 331, 332, 421, 501, 530},
	"PASS":   {202, 230, 332, 421, 501, 503, 530},
	"ACCT":   {202, 230, 421, 501, 503, 530},
	"CWD":    {250, 421, 501, 502, 530, 550},
	"CDUP":   {200, 250, 421, 501, 502, 530, 550},
	"SMNT":   {202, 250, 421, 501, 502, 530, 550},
	"REIN":   {120, 220, 421, 502},
	"QUIT":   {221, 0},
	"PORT":   {200, 421, 501, 530},
	"PASV":   {227, 421, 501, 502, 530},
	"EPRT":   {200, 501, 522},
	"EPSV":   {229, 501},
	"MODE":   {200, 421, 501, 502, 504, 530},
	"TYPE":   {200, 421, 501, 504, 530},
	"STRU":   {200, 421, 501, 504, 530},
	"ALLO":   {200, 202, 421, 501, 504, 530},
	"REST":   {200, 350, 421, 501, 502, 530},
	"STOR":   store,
	"STOU":   store,
	"APPE":   store,
	"RETR":   {110, 125, 150, 226, 250, 421, 425, 426, 450, 451, 501, 530, 550},
	"LIST":   list,
	"NLST":   list,
	"MLSD":   {150, 226, 250, 501, 550},
	"MLST":   {150, 226, 250, 501, 550},
	"RNFR":   {350, 421, 450, 501, 502, 530, 550},
	"RNTO":   {250, 421, 501, 502, 503, 530, 532, 553},
	"DELE":   {250, 421, 450, 501, 502, 530, 550},
	"RMD":    {250, 421, 501, 502, 530, 550},
	"MKD":    {257, 421, 501, 502, 530, 550},
	"PWD":    {257, 421, 501, 502, 550},
	"XPWD":   {257, 421, 501, 502, 550},
	"ABOR":   {225, 226, 421, 501, 502},
	"SYST":   {215, 421, 501, 502, 530},
	"STAT":   {211, 212, 213, 421, 450, 501, 502, 530},
	"HELP":   {200, 211, 214, 421, 501, 502},
	"SITE":   {200, 202, 214, 501, 502, 530},
	"NOOP":   {200, 421},
	"FEAT":   {211, 502},
	"OPTS":   {200, 451, 501},
	"SIZE":   info,
	"MDTM":   info,
	"AUTH":   {234, 334, 421, 431, 501, 502, 503, 504, 530, 534},
	"CLNT":   {200},
}
