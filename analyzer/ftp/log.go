package ftp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

const (
	maxPending = 20  // commands without a reply; Zeek's FTP::max_pending_commands
	maxName    = 128 // bytes of user names and passwords in a row; Zeek's FTP::max_user_length
	maxText    = logs.MaxText
	maxDir     = 256 // bytes of the working directory, which each CWD parses
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

// A DataChannel is the part of a row that announces a data connection.
type DataChannel struct {
	Passive bool       `json:"data_channel.passive"`
	OrigH   netip.Addr `json:"data_channel.orig_h"`
	RespH   netip.Addr `json:"data_channel.resp_h"`
	RespP   uint16     `json:"data_channel.resp_p"`
}

// logged lists the commands that have rows; Zeek's FTP::logged_commands.
var logged = []string{"APPE", "DELE", "RETR", "STOR", "STOU", "ACCT", "PORT", "PASV", "EPRT", "EPSV"}

// onFiles lists the commands whose argument is a path.
var onFiles = []string{
	"APPE", "CWD", "DELE", "MKD", "RETR", "RMD", "RNFR", "RNTO", "STOR", "STOU", "REST", "SIZE", "MDTM",
}

// guests are the users whose passwords are not secret.
var guests = []string{"anonymous", "ftp", "ftpuser", "guest"}

// A command is a command of the client. The first one, greeting, stands for the connection itself.
type command struct {
	time      time.Time
	verb, arg string // at most maxVerb and maxText bytes
	cut       int    // bytes cut off the argument
	moved     bool   // a reply has changed the working directory
}

const greeting = "<init>"

func (cmd *command) hasRow() bool { return slices.Contains(logged, cmd.verb) }

func (cmd *command) size() int { return int(unsafe.Sizeof(*cmd)) + len(cmd.verb) + len(cmd.arg) }

// log holds the commands that are not logged yet, and what their rows will contain.
type log struct {
	pending []*command // oldest first, at most maxPending
	size    int        // bytes that pending takes
	rows    int        // pending commands that will have rows
	current *command   // answered by the latest reply

	user, password string
	cwd            string // at most maxDir bytes; relative while unknown, at first "."
	fileSize       *int64
	replyCode      *int // of the latest reply; as in Zeek, commands without a reply are logged with it
	replyMsg       string
	replyCut       int // bytes cut off the reply
	dataChannel    *DataChannel
}

func newLog(now time.Time) log {
	l := log{user: "<unknown>", cwd: "."}
	l.add(&command{time: now, verb: greeting})
	return l
}

// held returns how many bytes l takes. It may count the current command twice.
func (l *log) held() int {
	n := l.size + cap(l.pending)*int(unsafe.Sizeof(l.pending))
	n += len(l.user) + len(l.password) + len(l.cwd) + len(l.replyMsg) + int(unsafe.Sizeof(DataChannel{}))
	if l.current != nil {
		n += l.current.size()
	}
	return n
}

func (l *log) add(cmd *command) {
	l.pending = append(l.pending, cmd)
	l.size += cmd.size()
	if cmd.hasRow() {
		l.rows++
	}
}

// done removes cmd from the pending commands and reports whether it was pending.
func (l *log) done(cmd *command) bool {
	i := slices.Index(l.pending, cmd)
	if i >= 0 {
		l.pending = slices.Delete(l.pending, i, i+1)
		l.size -= cmd.size()
		if cmd.hasRow() {
			l.rows--
		}
	}
	return i >= 0
}

// onCommand logs the command that the latest reply answered, as no more replies to it will come,
// and makes a new one pending.
func (s *state) onCommand(c *conn.Connection, verb string, arg []byte) {
	if s.replyCode != nil && s.done(s.current) {
		s.write(c)
	}
	if len(s.pending) < maxPending {
		text := string(arg[:min(len(arg), maxText)])
		s.add(&command{time: s.now, verb: verb, arg: text, cut: len(arg) - len(text)})
	} else {
		s.weird(c, "FTP_too_many_pending_commands", strconv.Itoa(len(s.pending)))
	}
	switch verb {
	case "USER":
		s.user = s.name(c, arg, "FTP_user_too_long")
	case "PASS":
		s.password = s.name(c, arg, "FTP_password_too_long")
	}
	s.updateHook(c)
}

func (s *state) name(c *conn.Connection, arg []byte, tooLong string) string {
	if len(arg) > maxName {
		s.weird(c, tooLong, strconv.Itoa(len(arg)))
	}
	return string(arg[:min(len(arg), maxName)])
}

// onReply handles the first or the last line of a reply and returns the command that it answers.
func (s *state) onReply(code int, text []byte) (verb string) {
	msg := string(text[:min(len(text), maxText)])
	s.current = s.match(code, msg)
	s.replyCode, s.replyMsg, s.replyCut = new(code), msg, len(text)-len(msg)
	return s.current.verb
}

// onReplyLine handles a line inside a reply. Some servers send other replies before a reply of
// several lines ends. Like Zeek, it takes a line with a code and at least ten more characters for
// one, without the code.
func (s *state) onReplyLine(line []byte) {
	const least = len("226 Transfer c")
	if len(line) < least || replyCode(line) < 100 || line[3] != ' ' {
		return
	}
	for _, b := range line[4:least] {
		if b < ' ' || b > '~' {
			return
		}
	}
	s.onReply(0, line)
}

// onReplyEnd handles the last line of a reply, after onReply.
func (s *state) onReplyEnd(c *conn.Connection, code int, text []byte) {
	cmd := s.current
	switch {
	case code == 150 && cmd.verb == "RETR", code == 213 && cmd.verb == "SIZE":
		if n, ok := lastNumber(text); ok {
			s.fileSize = &n
		}
	case cmd.moved:
	case code == 250 && cmd.verb == "CWD":
		s.move(c, join(s.cwd, cmd.arg))
	case (code == 200 || code == 250) && cmd.verb == "CDUP":
		s.move(c, join(s.cwd, ".."))
	case code == 257 && (cmd.verb == "PWD" || cmd.verb == "XPWD"):
		s.move(c, findPath(s.replyMsg))
	}
	if len(s.pending) > 1 {
		s.done(cmd)
		s.write(c)
	}
	s.updateHook(c)
}

// lastNumber returns the last number in text.
func lastNumber(text []byte) (n int64, ok bool) {
	end := len(text)
	for end > 0 && !isDigit(text[end-1]) {
		end--
	}
	begin := end
	for begin > 0 && isDigit(text[begin-1]) {
		begin--
	}
	n, err := strconv.ParseInt(string(text[begin:end]), 10, 64)
	return n, err == nil
}

// move makes dir the working directory, for the current command.
func (s *state) move(c *conn.Connection, dir string) {
	if n := len(dir); n > maxDir {
		s.weird(c, "FTP_directory_too_long", strconv.Itoa(n))
		dir = dir[:maxDir]
	}
	s.cwd = strings.Clone(dir)
	s.current.moved = true
}

// write logs the current command, if commands of its kind are logged.
func (s *state) write(c *conn.Connection) {
	cmd := s.current
	arg := cmd.arg
	if slices.Contains(onFiles, cmd.verb) {
		arg = s.url(c, arg)
	}
	if n := len(arg) + cmd.cut; n > maxText {
		s.weird(c, "FTP_arg_too_long", strconv.Itoa(n))
	}
	if s.replyCut > 0 {
		s.weird(c, "FTP_reply_msg_too_long", strconv.Itoa(len(s.replyMsg)+s.replyCut))
	}
	if cmd.hasRow() {
		row := &Row{
			Header:      logs.NewHeader("ftp", c, cmd.time),
			User:        logs.Text([]byte(s.user)),
			Password:    logs.Text([]byte(s.password)),
			Command:     cmd.verb,
			Arg:         logs.Text([]byte(arg)),
			FileSize:    s.fileSize,
			ReplyCode:   s.replyCode,
			ReplyMsg:    logs.Text([]byte(s.replyMsg)),
			DataChannel: s.dataChannel,
		}
		if s.password != "" && !slices.Contains(guests, strings.ToLower(s.user)) {
			row.Password = "<hidden>"
		}
		s.parser.owner.Log(row)
	}
	s.fileSize, s.dataChannel = nil, nil
}

// logAll logs all pending commands. None is pending afterwards.
func (s *state) logAll(c *conn.Connection) {
	for _, cmd := range s.pending {
		s.current = cmd
		s.write(c)
	}
	s.pending, s.size, s.rows, s.current = nil, 0, 0, nil
	s.updateHook(c)
}
