package smtp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/lines/linestest"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

func parser(o protocol.Owner) protocol.Parser { return New(o) }

// play returns the rows of turns: depth, helo, mailfrom, rcptto and last_reply, with a slash
// between them.
func play(t *testing.T, turns ...Turn) (rows []string) {
	t.Helper()
	Rows(t, parser, turns...)
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, turns...)
	require.True(t, conn.StateRemove(c))
	for _, row := range o.Rows {
		r := row.(*Row)
		rows = append(rows, fmt.Sprintf("%d/%s/%s/%s/%s",
			r.TransDepth, r.Helo, r.MailFrom, strings.Join(r.RcptTo, ","), r.LastReply))
	}
	return rows
}

var (
	hello = []Turn{
		Resp("220 s.test ESMTP\r\n"), Orig("EHLO c.test\r\n"), Resp("250-s.test\r\n250-CHUNKING\r\n250 PIPELINING\r\n"),
	}
	envelope = []Turn{
		Orig("MAIL FROM:<a@c.test> SIZE=5\r\n"), Resp("250 2.1.0 Ok\r\n"),
		Orig("RCPT TO:<b@s.test>\r\n"), Resp("250 2.1.5 Ok\r\n"),
	}
	content = []Turn{
		Orig("DATA\r\n"), Resp("354 go on\r\n"),
		Orig("Subject: s\r\n\r\nMAIL FROM:<not@a.command>\r\n..\r\n.\r\n"), Resp("250 2.0.0 queued\r\n"),
	}
	quit = []Turn{Orig("QUIT\r\n"), Resp("221 Bye\r\n"), {FromOrig: true, End: true}, {End: true}}
)

func join(parts ...[]Turn) (turns []Turn) {
	for _, p := range parts {
		turns = append(turns, p...)
	}
	return turns
}

func TestConversations(t *testing.T) {
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"a mail": {
			join(hello, envelope, content, quit),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.0.0 queued"},
		},
		"two mails": {
			join(hello, envelope, content, envelope, content, quit),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.0.0 queued", "2/c.test/a@c.test/b@s.test/250 2.0.0 queued"},
		},
		"no mail": {join(hello, quit), nil},
		"a mail that is not sent": {
			join(hello, envelope, quit),
			[]string{"1/c.test/a@c.test/b@s.test/221 Bye"},
		},
		"a mail that is given up for another": {
			join(hello, envelope, []Turn{Orig("RSET\r\n"), Resp("250 Reset\r\n")}, envelope, content, quit),
			[]string{"1/c.test/a@c.test/b@s.test/250 Reset", "1/c.test/a@c.test/b@s.test/250 2.0.0 queued"},
		},
		"a mail that is cut short": {
			join(hello, envelope, content[:2], []Turn{Orig("Subject: s\r\n\r\nand")}),
			[]string{"1/c.test/a@c.test/b@s.test/354 go on"},
		},
		"pipelining": {
			join(hello, []Turn{
				Orig("MAIL FROM:<a@c.test>\r\nRCPT TO:<x@s.test>\r\nrcpt to: y@s.test\r\nDATA\r\nhi\r\n.\r\nNOOP\r\n"),
				Resp("250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 queued\r\n250 noop\r\n"),
			}, quit),
			[]string{"1/c.test/a@c.test/x@s.test,y@s.test/250 queued"},
		},
		"no sender": {
			join(hello, []Turn{Orig("MAIL FROM:<>\r\n"), Resp("250 ok\r\n")}, quit),
			[]string{"1/c.test///221 Bye"},
		},
		"a refused DATA": {
			join(hello, envelope, []Turn{Orig("DATA\r\n"), Resp("554 no\r\n"), Orig("MAIL FROM:<n@c.test>\r\n")}),
			[]string{"1/c.test/a@c.test/b@s.test/554 no", "1/c.test/n@c.test//"},
		},
		"chunks": {
			join(hello, envelope, []Turn{
				Orig("BDAT 14\r\nSubject: s\r\n\r\n"), Resp("250 ok\r\n"),
				Orig("bdat 12 last\r\nMAIL FROM:x\n"), Resp("250-and\r\n250 done\r\n"),
			}, envelope, quit),
			[]string{"1/c.test/a@c.test/b@s.test/250 done", "2/c.test/a@c.test/b@s.test/221 Bye"},
		},
		"chunks without a last one": {
			join(hello, envelope, []Turn{Orig("BDAT 2\r\nhi"), Resp("250 ok\r\n")}, envelope, []Turn{
				Orig("BDAT 2 LAST\r\nhi"), Resp("250 done\r\n"),
			}),
			[]string{"1/c.test/a@c.test/b@s.test/250 ok", "1/c.test/a@c.test/b@s.test/250 done"},
		},
		"an empty last chunk": {
			join(hello, envelope, []Turn{
				Orig("BDAT 2\r\nhiBDAT 0 LAST\r\nQUIT\r\n"), Resp("250 ok\r\n250 done\r\n221 Bye\r\n"),
			}),
			[]string{"1/c.test/a@c.test/b@s.test/250 done"},
		},
		"chunks without a size": {
			join(hello, envelope, []Turn{
				Orig("BDAT -1 LAST\r\r\n"), Resp("521 Syntax\r\n"),
			}, envelope, []Turn{
				Orig("BDAT 184467440737095516150 LAST\r\n"), Resp("521 Too large\r\n"),
			}, envelope, []Turn{
				Orig("BDAT 5 FIRST\r\n"), Resp("521 What\r\n"),
			}, envelope, []Turn{Orig("BDAT 18446744073709551615\r\nNOOP\r\n"), Resp("521 What\r\n250 noop\r\n")}),
			[]string{
				"1/c.test/a@c.test/b@s.test/521 Syntax", "2/c.test/a@c.test/b@s.test/521 Too large",
				"3/c.test/a@c.test/b@s.test/521 What", "3/c.test/a@c.test/b@s.test/250 noop",
			},
		},
		"a chunk that is larger than all that follows": {
			join(hello, envelope, []Turn{Orig("BDAT 9223372036854775807 LAST\r\nMAIL FROM:<n@c.test>\r\n")}),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"AUTH": {
			join(hello, []Turn{
				Orig("AUTH LOGIN\r\n"), Resp("334 VXNlcg==\r\n"), Orig("MAIL FROM:<not@a.command>\r\n"),
				Resp("334 UGFzcw==\r\n"), Orig("eA==\r\n"), Resp("235 ok\r\n"),
			}, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"AUTH before a mail": {
			join(hello, envelope, []Turn{
				Orig("AUTH PLAIN x\r\nDATA\r\n"), Resp("334 What\r\n"), Orig("MAIL FROM:<not@a.command>\r\n.\r\n"),
				Resp("354 go\r\n250 queued\r\n"),
			}, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 queued", "2/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"AUTH before a chunk": {
			join(hello, envelope, []Turn{
				Orig("AUTH PLAIN x\r\nBDAT 26 LAST\r\n"), Resp("334 What\r\n"), Orig("MAIL FROM:<not@a.command>\n"),
				Resp("250 done\r\n"),
			}, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 done", "2/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"a question to a command that is not AUTH": {
			join(hello, []Turn{Orig("NOOP\r\n"), Resp("334 What\r\n")}, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"a refused AUTH": {
			join(hello, []Turn{Orig("AUTH PLAIN x\r\n"), Resp("335 no\r\n")}, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"several addresses of a sender": {
			join(hello, []Turn{Orig("MAIL FROM:<a@c.test> AUTH=<x@c.test>\r\n")}),
			[]string{"1/c.test/a@c.test//250 PIPELINING"},
		},
		"nothing after the colon": {
			join(hello, []Turn{Orig("MAIL FROM:\r\nRCPT TO:\r\n")}), []string{"1/c.test///250 PIPELINING"},
		},
		"a reply to nothing": {
			join(hello, envelope, content, []Turn{Resp("250 again\r\n")}, envelope, content),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.0.0 queued", "2/c.test/a@c.test/b@s.test/250 2.0.0 queued"},
		},
		"a reply with an empty line": {
			join(hello, envelope, []Turn{
				Orig("NOOP\r\nNOOP\r\nDATA\r\n"), Resp("250-\r\n250 ok\r\n250 ok\r\n"),
				Orig("MAIL FROM:<not@a.command>\r\n"), Resp("354 go\r\n"),
			}),
			[]string{"1/c.test/a@c.test/b@s.test/354 go"},
		},
		"two mails in chunks": {
			join(hello, envelope, []Turn{Orig("BDAT 2 LAST\r\nhi"), Resp("250 done\r\n")}, envelope, []Turn{
				Orig("BDAT 2\r\nhi"), Resp("250 ok\r\n"), Orig("BDAT 2 LAST\r\nhi"), Resp("250 done, too\r\n"),
			}),
			[]string{"1/c.test/a@c.test/b@s.test/250 done", "2/c.test/a@c.test/b@s.test/250 done, too"},
		},
		"a command before the greeting": {[]Turn{Orig("RCPT TO:<b@s.test>\r\n")}, []string{"1///b@s.test/"}},
		"unknown commands": {
			join(hello, []Turn{Orig("XYZ\r\n"), Resp("500 What\r\n"), Orig("MAILFROM:<x@y.z>\r\n"), Resp("500 What\r\n")}, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"an unknown command before another": {
			join(hello, envelope, []Turn{
				Orig("XYZ\r\nDATA\r\n"), Resp("500 What\r\n354 go\r\n"), Orig("MAIL FROM:<n@c.test>\r\n.\r\n"), Resp("250 ok\r\n"),
			}),
			[]string{"1/c.test/a@c.test/b@s.test/250 ok"},
		},
		"a refused DATA after an unknown command": {
			join(hello, envelope, []Turn{Orig("XYZ\r\nDATA\r\n"), Resp("500 What\r\n554 no\r\n"), Orig("MAIL FROM:<n@c.test>\r\n")}),
			[]string{"1/c.test/a@c.test/b@s.test/554 no", "1/c.test/n@c.test//"},
		},
		"a reply that is none": {
			join(hello, envelope, []Turn{Orig("NOOP\r\n"), Resp("600 Moon\r\n250 ok\r\n")}, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"a reply that is none, before a command": {
			join([]Turn{Resp("What?\r\n")}, hello, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"a reply that is none, late": {
			join(hello, envelope, []Turn{
				Orig("BDAT 20000 LAST\r\n\r\n" + strings.Repeat("x", 19998)), Resp("What?\r\n"), Resp("250 done\r\n"),
			}),
			[]string{"1/c.test/a@c.test/b@s.test/250 done"},
		},
		"a gap in the mail": {
			join(hello, envelope, content[:2], []Turn{
				{FromOrig: true, Data: "Subject: s\r\nab", Lost: 5}, Orig("c\r\n.\r\n"), Resp("250 queued\r\n"),
			}, quit),
			[]string{"1/c.test/a@c.test/b@s.test/221 Bye"},
		},
		"a gap in the commands": {
			join(hello, envelope, []Turn{
				{FromOrig: true, Lost: 6}, Resp("354 go on\r\n"), Orig("RCPT TO:<not@a.command>\r\n.\r\n"), Resp("250 ok\r\n"),
			}, quit),
			[]string{"1/c.test/a@c.test/b@s.test/250 ok"},
		},
		"a gap in the replies, with that to DATA": {
			join(hello, envelope, []Turn{
				Orig("DATA\r\nSubject: x\r\n\r\n.\r\n"), {Lost: 9}, Resp("250 queued\r\n"),
			}, envelope, content),
			[]string{"1/c.test/a@c.test/b@s.test/250 queued", "2/c.test/a@c.test/b@s.test/250 2.0.0 queued"},
		},
		"a gap in the replies, before a short one": {
			join(hello, envelope, []Turn{{Data: "250 o", Lost: 9}, Resp("250\r\n250 ok\r\n")}),
			[]string{"1/c.test/a@c.test/b@s.test/250 ok"},
		},
		"a gap in a chunk": {
			join(hello, envelope, []Turn{
				{FromOrig: true, Data: "BDAT 20 LAST\r\nab", Lost: 17}, Orig("."), Resp("250 done\r\n"),
			}, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 done", "2/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
		},
		"a gap up to the end of a chunk": { // after which commands wait for a reply
			join(hello, envelope, []Turn{
				{FromOrig: true, Data: "BDAT 20 LAST\r\nab", Lost: 18}, Orig("RCPT TO:<lost@s.test>\r\n"), Resp("250 done\r\n"),
				Orig("RCPT TO:<c@s.test>\r\n"),
			}),
			[]string{"1/c.test/a@c.test/b@s.test/250 done", "2/c.test//c@s.test/"},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, play(t, tt.turns...)) })
	}
}

func TestStartTLSHandsOver(t *testing.T) {
	turns := join(hello, []Turn{
		Orig("STARTTLS\r\n"), Resp("220-ready\r\n220 go\r\n\x16\x03"), Orig("\x16\x03\x01"),
	})
	assert.Equal(t, []string{"1/c.test///220 go"}, play(t, turns...))
	o, c := &Recorder{}, Conn()
	res := Play(t, New(o), c, turns...)
	assert.Equal(t, Result{Next: protocol.HandOver, Rest: [2]string{"\x16\x03\x01", "\x16\x03"}}, res)
	assert.True(t, conn.Registered(c, finalize), "the row says that TLS follows")
	conn.StateRemove(c)
	require.Len(t, o.Rows, 1)
	assert.True(t, o.Rows[0].(*Row).TLS)
}

func TestRefusedStartTLSContinues(t *testing.T) {
	assert.Equal(t, []string{"1/c.test/a@c.test/b@s.test/250 2.0.0 queued"},
		play(t, join(hello, []Turn{Orig("STARTTLS\r\n"), Resp("454 no\r\n")}, envelope, content)...))
}

func TestFinalizerOnlyWhileMailIsPending(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, hello...)
	assert.False(t, conn.Registered(c, finalize), "nothing is worth a row")
	for range 2 {
		Play(t, p, c, envelope...)
		assert.True(t, conn.Registered(c, finalize))
		Play(t, p, c, content...)
		assert.False(t, conn.Registered(c, finalize), "the mail has been logged")
	}
	Play(t, p, c, envelope...)
	Play(t, p, c, quit...)
	assert.True(t, conn.Registered(c, finalize), "a mail is not complete")
	p.FreeMemory(c)
	assert.False(t, conn.Registered(c, finalize), "it has been logged as it is")
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 3)
}

func TestViolation(t *testing.T) {
	for line, want := range map[string]protocol.Next{
		"?": protocol.Violation, "": protocol.Violation, "25": protocol.Violation, "2:0 x": protocol.Violation,
		"2/0 x": protocol.Violation, "099 x": protocol.Violation, "600 x": protocol.Violation,
		"100": protocol.More, "599-x": protocol.More,
	} {
		t.Run(line, func(t *testing.T) {
			c := Conn()
			res := Play(t, New(&Recorder{}), c, join(hello, []Turn{Resp(line + "\r\n")})...)
			assert.Equal(t, want, res.Next)
			assert.False(t, conn.Registered(c, finalize))
		})
	}
}

func TestReplies(t *testing.T) {
	type reply struct {
		code int
		text string
		more bool
	}
	for line, want := range map[string]reply{
		"250": {250, "", false}, "250 ok": {250, "ok", false}, "250ok": {250, "ok", false}, "250 \t -ok": {250, "-ok", false},
		"250-": {250, "", true}, "250-ok": {250, "ok", true}, "250- \tok": {250, "ok", true}, "250--": {250, "-", true},
	} {
		t.Run(line, func(t *testing.T) {
			code, text, more, ok := parseReply([]byte(line))
			assert.True(t, ok)
			assert.Equal(t, want, reply{code, string(text), more})
		})
	}
}

func TestConfirmedByACommand(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, hello[0], Orig("XYZ\r\n"), Resp("?\r\n"))
	assert.False(t, o.Confirmed)
	Play(t, p, c, hello[1])
	assert.True(t, o.Confirmed)
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		orig, resp string
		want       protocol.Verdict
	}{
		{"", "", protocol.Maybe},
		{"", "220 hi", protocol.Maybe},
		{"eh", "220-hi", protocol.Maybe},
		{"ehlo", "220-hi", protocol.Yes},
		{"HELO", "220 ", protocol.Yes},
		{"HELO", "22", protocol.Maybe},
		{"HELO", "220", protocol.Maybe},
		{"HEL", "220 ", protocol.Maybe},
		{"\r\n ehlo", "\t\r\n220 ", protocol.Yes},
		{"HELX", "220 hi", protocol.No},
		{"HELO", "23", protocol.No},
		{"HELO", "", protocol.Maybe},
		{"HELO", "2201", protocol.No},
		{"HELO", "554 no", protocol.No},
		{"USER", "220 hi", protocol.No},
		{"GET /", "", protocol.No},
	} {
		t.Run(tt.orig, func(t *testing.T) {
			assert.Equal(t, tt.want, New(nil).Match([]byte(tt.orig), []byte(tt.resp)), "%q %q", tt.orig, tt.resp)
		})
	}
}

const header = "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nX-Originating-IP: 2001:db8::7, [192.0.2.9]\r\n" +
	"Received: from x ([203.0.113.7]) by s\r\n\t(192.0.2.1); now\r\n" +
	"Received: from y (203.0.113.8) by x\r\n" +
	"From: A <a@c.test>\r\nTo: \"B, b\" <b@s.test>,\r\n c@s.test, c@s.test\r\nCc: d@s.test\r\nReply-To: r@c.test\r\n" +
	"Message-ID: <1@c.test>\r\nIn-Reply-To: <0@s.test>\r\nSubject: first\r\nSubject: s\r\nX-Mailer: m 1\r\n\r\nFrom: not\r\n"

func TestRow(t *testing.T) {
	want := `{
		"_path": "smtp", "ts": 1715940000.000000, "uid": "CTest",
		"id.orig_h": "192.0.2.1", "id.orig_p": 40000, "id.resp_h": "198.51.100.2", "id.resp_p": 80,
		"trans_depth": 1, "helo": "c.test", "mailfrom": "a@c.test", "rcptto": ["b@s.test"],
		"date": "Mon, 1 Jan 2024 00:00:00 +0000", "from": "A <a@c.test>", "to": ["\"B, b\" <b@s.test>", "c@s.test"],
		"cc": ["d@s.test"], "reply_to": "r@c.test", "msg_id": "<1@c.test>", "in_reply_to": "<0@s.test>", "subject": "s",
		"x_originating_ip": "2001:db8::7",
		"first_received": "from y (203.0.113.8) by x",
		"second_received": "from x ([203.0.113.7]) by s\t(192.0.2.1); now",
		"last_reply": "250 ok", "path": ["198.51.100.2", "192.0.2.1", "203.0.113.8"],
		"user_agent": "m 1", "tls": false
	}`
	at := strings.Index(header, "\r\nFrom:") - 3 // between a carriage return and a line feed
	for name, mail := range map[string][]Turn{
		"in lines":  {Orig("DATA\r\n"), Resp("354 go\r\n"), Orig(header + ".\r\n"), Resp("250 ok\r\n")},
		"in chunks": {Orig(fmt.Sprintf("BDAT %d LAST\r\n%s", len(header), header)), Resp("250 ok\r\n")},
		"in chunks that cut lines": {
			Orig("BDAT 1\r\n" + header[:1]), Resp("250 ok\r\n"), Orig("BDAT 3\r\n" + header[1:4]), Resp("250 ok\r\n"),
			Orig(fmt.Sprintf("BDAT %d\r\n%s", at, header[4:4+at])), Resp("250 ok\r\n"),
			Orig(fmt.Sprintf("BDAT %d LAST\r\n%s", len(header)-4-at, header[4+at:])), Resp("250 ok\r\n"),
		},
		"in a chunk without an end": {
			Orig(fmt.Sprintf("BDAT %d LAST\r\n%s", len(header)-15, header[:len(header)-15])), Resp("250 ok\r\n"),
		},
		"not complete": {Orig("DATA\r\n"), Resp("354 go\r\n"), Orig(strings.TrimSuffix(header, "\r\nFrom: not\r\n")), Resp("250 ok\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			rows := Rows(t, parser, join(hello, envelope, mail)...)
			require.Len(t, rows, 1)
			assert.JSONEq(t, want, rows[0])
		})
	}
}

// Pipelined mails have the replies to their own commands (RFC 2920, RFC 3030).
func TestPipelining(t *testing.T) {
	mail := func(from string) string { return "MAIL FROM:<" + from + ">\r\nRCPT TO:<b@y>\r\n" }
	row := func(depth int, from, reply string) string {
		return fmt.Sprintf("%d/c.test/%s/b@y/%s", depth, from, reply)
	}
	two := []string{row(1, "a@x", "250 queued 1"), row(2, "c@x", "250 queued 2")}
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"MAIL before the reply to the end of data": {
			[]Turn{
				Orig(mail("a@x") + "DATA\r\n"), Resp("250 ok\r\n250 ok\r\n354 go\r\n"), Orig("hi\r\n.\r\n"), Orig(mail("c@x") + "DATA\r\n"),
				Resp("250 queued 1\r\n"), Resp("250 ok\r\n250 ok\r\n354 go\r\n"), Orig("hi\r\n.\r\n"), Resp("250 queued 2\r\n"),
			}, two,
		},
		"two mails in a segment": {
			[]Turn{
				Orig(mail("a@x") + "DATA\r\nhi\r\n.\r\n" + mail("c@x") + "DATA\r\nhi\r\n.\r\nQUIT\r\n"),
				Resp("250 ok\r\n250 ok\r\n354 go\r\n250 queued 1\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued 2\r\n221 bye\r\n"),
			}, two,
		},
		"two mails in chunks": {
			[]Turn{
				Orig(mail("a@x") + "BDAT 2\r\nhiBDAT 0\r\nBDAT 2 LAST\r\nhi" + mail("c@x") + "BDAT 2\r\nhiBDAT 0 LAST\r\nQUIT\r\n"),
				Resp(strings.Repeat("250 ok\r\n", 4) + "250-queued\r\n250 queued 1\r\n" + strings.Repeat("250 ok\r\n", 3)),
				Resp("250 queued 2\r\n221 bye\r\n"),
			}, two,
		},
		"chunks of the next mail before the reply": {
			[]Turn{
				Orig(mail("a@x") + "BDAT 2 LAST\r\nhi" + mail("c@x") + "BDAT 20\r\nSubj"), Resp("250 ok\r\n250 ok\r\n250 queued 1\r\n"),
				Orig("ect: hi\r\n\r\nMAIL" + "BDAT 2 LAST\r\nhi"), Resp("250 ok\r\n250 ok\r\n250 ok\r\n250 queued 2\r\n"),
			}, two,
		},
		"a mail that is refused": {
			[]Turn{
				Orig(mail("a@x") + "BDAT 2\r\nhiBDAT 2 LAST\r\nhi" + mail("c@x") + "BDAT 2 LAST\r\nhi"),
				Resp("250 ok\r\n550 who\r\n503 none\r\n503 no recipient\r\n250 ok\r\n250 ok\r\n250 queued 2\r\n"),
			}, []string{row(1, "a@x", "503 no recipient"), two[1]},
		},
		"a refused DATA before another mail": {
			[]Turn{
				Orig(mail("a@x") + "DATA\r\n"), Resp("250 ok\r\n550 who\r\n554 no recipient\r\n"),
				Orig(mail("c@x") + "DATA\r\n"), Resp("250 ok\r\n250 ok\r\n354 go\r\n"), Orig("hi\r\n.\r\n"), Resp("250 queued 2\r\n"),
			}, []string{row(1, "a@x", "554 no recipient"), row(1, "c@x", "250 queued 2")},
		},
		"a refused DATA, late": {
			[]Turn{
				Orig(mail("a@x") + "DATA\r\nhi\r\n.\r\n" + mail("c@x") + "DATA\r\n"),
				Resp("250 ok\r\n550 who\r\n554 no recipient\r\n500 what\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
				Orig("MAIL FROM:<not@a.command>\r\n.\r\n"), Resp("250 queued 2\r\n"),
			}, []string{row(1, "a@x", "500 what"), two[1]},
		},
		"RSET": {
			[]Turn{
				Orig(mail("a@x") + "RSET\r\n" + mail("c@x") + "BDAT 2 LAST\r\nhi"),
				Resp("250 ok\r\n250 ok\r\n250 reset\r\n250 ok\r\n250 ok\r\n250 queued 1\r\n"),
			}, []string{row(1, "a@x", "250 reset"), row(1, "c@x", "250 queued 1")},
		},
		"RSET and NOOP between mails": {
			[]Turn{
				Orig(mail("a@x") + "BDAT 2 LAST\r\nhiRSET\r\nNOOP\r\n" + mail("c@x") + "BDAT 2 LAST\r\nhiRSET\r\n"),
				Resp("250 ok\r\n250 ok\r\n250 queued 1\r\n250 reset\r\n250 noop\r\n250 ok\r\n250 ok\r\n250 queued 2\r\n250 reset\r\n"),
			}, two,
		},
		"RSET in the middle of chunks": {
			[]Turn{
				Orig(mail("a@x") + "BDAT 2\r\nhiRSET\r\n" + mail("c@x") + "BDAT 2 LAST\r\nhi"),
				Resp("250 ok\r\n250 ok\r\n552 full\r\n250 reset\r\n250 ok\r\n250 ok\r\n250 queued 1\r\n"),
			}, []string{row(1, "a@x", "250 reset"), row(1, "c@x", "250 queued 1")},
		},
		"MAIL twice": {
			[]Turn{
				Orig(mail("a@x") + mail("c@x")), Resp("250 ok\r\n250 ok 1\r\n503 nested\r\n250 ok 2\r\n"),
			}, []string{row(1, "a@x", "250 ok 1"), row(1, "c@x", "250 ok 2")},
		},
		"HELO after a mail": {
			[]Turn{
				Orig(mail("a@x") + "BDAT 2 LAST\r\nhiEHLO c.test\r\n" + mail("c@x") + "BDAT 2 LAST\r\nhi"),
				Resp("250 ok\r\n250 ok\r\n250 queued 1\r\n250-s\r\n250 x\r\n250 ok\r\n250 ok\r\n250 queued 2\r\n"),
			}, two,
		},
		"a recipient after a mail": {
			[]Turn{
				Orig(mail("a@x") + "BDAT 2 LAST\r\nhiRCPT TO:<z@y>\r\n"), Resp("250 ok\r\n250 ok\r\n250 queued 1\r\n503 no\r\n"),
			}, []string{two[0], "2/c.test//z@y/503 no"},
		},
		"no replies": {
			[]Turn{Orig(mail("a@x") + "BDAT 2 LAST\r\nhi" + mail("c@x") + "BDAT 2 LAST\r\nhi")},
			[]string{row(1, "a@x", "250 PIPELINING"), row(2, "c@x", "")},
		},
		"one reply too many": {
			[]Turn{
				Orig(mail("a@x") + "BDAT 2 LAST\r\nhi"), Resp("250 ok\r\n250 ok\r\n250 queued 1\r\n250 what\r\n"),
				Orig(mail("c@x") + "BDAT 2 LAST\r\nhi"), Resp("250 ok\r\n250 ok\r\n250 queued 2\r\n"),
			}, two,
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, play(t, join(hello, tt.turns)...)) })
	}
}

// A client that does not wait for the server cannot make the analyzer hold ever more mails.
func TestPipelinedMailsAreBounded(t *testing.T) {
	const mail = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 0 LAST\r\n"
	t.Run("in number", func(t *testing.T) {
		o, c := &Recorder{}, Conn()
		p := New(o)
		Play(t, p, c, join(hello, []Turn{Orig(strings.Repeat(mail, 2*maxMails))})...)
		assert.Len(t, session.Get(c).pending, maxMails)
		assert.Len(t, o.Rows, maxMails)
		reply := func(n int) Turn { return Resp(fmt.Sprintf("250 ok\r\n250 ok\r\n250 queued %d\r\n", n)) }
		for n := range 2 * maxMails {
			Play(t, p, c, reply(n+1))
		}
		require.Len(t, o.Rows, 2*maxMails)
		for i, row := range o.Rows {
			r := row.(*Row)
			assert.Equal(t, i+1, r.TransDepth)
			if i >= maxMails {
				assert.Equal(t, fmt.Sprint("250 queued ", i+1), r.LastReply)
			}
		}
		assert.False(t, conn.Registered(c, finalize))
	})
	t.Run("in bytes", func(t *testing.T) {
		o, c := &Recorder{}, Conn()
		p := New(o)
		for i := range maxMails {
			var recipients strings.Builder
			for j := range 100 {
				fmt.Fprintf(&recipients, "RCPT TO:<%s@%d.%d>\r\n", strings.Repeat("x", 500), i, j)
			}
			Play(t, p, c, Orig("MAIL FROM:<a@b>\r\n"+recipients.String()+"BDAT 0 LAST\r\n"))
			assert.LessOrEqual(t, p.MemoryUsed(c), 2*maxRow+64<<10)
		}
		assert.NotEmpty(t, o.Rows)
		conn.StateRemove(c)
		assert.Len(t, o.Rows, maxMails)
	})
	t.Run("after too many commands", func(t *testing.T) {
		o, c := &Recorder{}, Conn()
		p := New(o)
		Play(t, p, c, join(hello, []Turn{
			Orig(mail + mail + strings.Repeat("NOOP\r\n", maxWaiting)), Resp("250 late\r\n"), Orig("MAIL FROM:<n@b>\r\n"),
		})...)
		conn.StateRemove(c)
		require.Len(t, o.Rows, 3)
		assert.Equal(t, "250 PIPELINING", o.Rows[0].(*Row).LastReply)
		assert.Equal(t, "250 late", o.Rows[1].(*Row).LastReply, "the reply is to the latest")
	})
}

func TestFreeMemoryOfPipelinedMails(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, join(hello, []Turn{Orig("MAIL FROM:<a@b>\r\nBDAT 0 LAST\r\nMAIL FROM:<c@d>\r\n")})...)
	p.FreeMemory(c)
	require.Len(t, o.Rows, 2)
	Play(t, p, c, Orig("BDAT 0 LAST\r\nMAIL FROM:<e@f>\r\n"), Resp("250 ok\r\n250 queued 1\r\n250 ok\r\n250 queued 2\r\n250 ok 3\r\n"))
	assert.Len(t, o.Rows, 2, "no row is logged twice")
	conn.StateRemove(c)
	require.Len(t, o.Rows, 3)
	assert.Equal(t, "e@f", o.Rows[2].(*Row).MailFrom)
	assert.Equal(t, "250 ok 3", o.Rows[2].(*Row).LastReply)
	assert.Equal(t, 3, o.Rows[2].(*Row).TransDepth)
}

// A row's time is that of the event before its mail: the greeting, or the reply to the previous
// mail.
func TestRowBeginsAfterPreviousMail(t *testing.T) {
	o := &Recorder{}
	first := join(hello, envelope, content)
	Play(t, New(o), Conn(), join(first, []Turn{Resp("421 soon\r\n")}, envelope, content)...)
	require.Len(t, o.Rows, 2)
	assert.Equal(t, logs.Time(Start), o.Rows[0].(*Row).TS)
	assert.Equal(t, logs.Time(Start.Add(time.Duration(len(first)-1)*time.Second)), o.Rows[1].(*Row).TS)
}

// Of two addresses in Received, the second is the host that sent the mail.
func TestPath(t *testing.T) {
	for value, want := range map[string]string{
		"no address":                            "[198.51.100.2 192.0.2.1]",
		"[203.0.113.7]":                         "[198.51.100.2 192.0.2.1 203.0.113.7]",
		"[203.0.113.7] [192.0.2.7]":             "[198.51.100.2 192.0.2.1 192.0.2.7]",
		"[203.0.113.7] [192.0.2.7] [192.0.2.8]": "[198.51.100.2 192.0.2.1 192.0.2.7]",
		"[203.0.113.7] [192.0.2.1]":             "[198.51.100.2 192.0.2.1]", // which is the last one
	} {
		t.Run(value, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, join(hello, envelope, []Turn{Orig("DATA\r\nReceived: " + value + "\r\n\r\n")})...)
			conn.StateRemove(c)
			assert.Equal(t, want, fmt.Sprint(o.Rows[0].(*Row).Path))
		})
	}
}

func TestTruncatedHeaders(t *testing.T) {
	for name, turns := range map[string][]Turn{
		"by the end of the connection": {Orig("DATA\r\nSubject: s\r\n")},
		"by the end of a chunk":        {Orig("BDAT 12\r\nSubject: s\r\n"), Resp("250 ok\r\n")},
		"inside a line":                {Orig("BDAT 10\r\nSubject: s"), Resp("250 ok\r\n")},
		"by an early reply":            {Orig("BDAT 99 LAST\r\nSubject: s"), Resp("250 ok\r\n")},
		"by a refusal":                 {Orig("DATA\r\nSubject: s\r\n"), Resp("554 no\r\n")},
		"by a gap before the reply":    {{FromOrig: true, Data: "DATA\r\nSubject: s\r\n", Lost: 9}, Resp("354 go\r\n"), Orig("Subject: not\r\n.\r\n")},
		"by a gap":                     {{FromOrig: true, Data: "BDAT 20\r\nSubject: s", Lost: 10}},
		"by another mail":              {Orig("BDAT 2\r\n\r\nNOOP\r\nBDAT 14 LAST\r\nSubject: s\r\n\r\n")},
		"and a dot that was added":     {Orig("DATA\r\n.Subject: s\r\n")},
		"not, but by a zero byte":      {Orig("DATA\r\nSubject: s\r\n\x00\r\nSubject: not\r\n\r\n")},
		"not, but by a chunk's end":    {Orig("BDAT 1\r\nSBDAT 99\r\nubject: s\r\n\r\nSubject: not\r\n")},
		"not, but by a line feed":      {Orig("BDAT 40\r\nSubject: s\n\n Subject: not\n\n Subject: not\n")},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, join(hello, envelope, turns)...)
			conn.StateRemove(c)
			require.Len(t, o.Rows, 1)
			assert.Equal(t, "s", o.Rows[0].(*Row).Subject)
		})
	}
}

// A header that is cut short belongs to its own mail, not to the next.
func TestHeaderBelongsToItsMail(t *testing.T) {
	next := Orig("MAIL FROM:<n@c.test>\r\n")
	for name, turns := range map[string][]Turn{
		"given up for another mail": {Orig("BDAT 12\r\nSubject: s\r\n"), next},
		"refused":                   {Orig("DATA\r\nSubject: s\r\n"), Resp("554 no\r\n"), next},
		"sent, before the next one": {Orig("DATA\r\nSubject: s\r\n"), Orig(".\r\n"), next},
		"done before its end": {
			Orig("BDAT 2\r\nSuBDAT 99 LAST\r\nbject: s\r\n"), Resp("250 done\r\n"), Orig(strings.Repeat("x", 89)), next,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, join(hello, envelope, turns)...)
			conn.StateRemove(c)
			require.Len(t, o.Rows, 2)
			assert.Equal(t, "s", o.Rows[0].(*Row).Subject)
			assert.Empty(t, o.Rows[1].(*Row).Subject)
			assert.Equal(t, "n@c.test", o.Rows[1].(*Row).MailFrom)
		})
	}
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, join(hello, content, envelope)...)
	conn.StateRemove(c)
	require.Len(t, o.Rows, 1, "a mail without a sender has none")
	assert.Empty(t, o.Rows[0].(*Row).Subject)
	assert.Equal(t, 2, o.Rows[0].(*Row).TransDepth)
}

func TestHeaderOfUnansweredLastChunk(t *testing.T) {
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, join(hello, envelope, []Turn{Orig("BDAT 12 LAST\r\nSubject: s\r\n")}, envelope[:1])...)
	assert.Empty(t, o.Rows, "its reply may come")
	conn.StateRemove(c)
	require.Len(t, o.Rows, 2)
	assert.Equal(t, "s", o.Rows[0].(*Row).Subject)
}

func TestAddresses(t *testing.T) {
	for arg, want := range map[string][]string{
		"<a@b> SIZE=1":                   {"a@b"},
		" a@b":                           {"a@b"},
		"<@r1,@r2:a@b>":                  {"a@b"},
		"<a@b> ORCPT=rfc822;c@d":         {"a@b", "c@d"},
		"<a@b>,<c@d>, e@f;g@h":           {"a@b", "c@d", "e@f", "g@h"},
		"a@[IPv6:2001:db8::1]":           {"a@[IPv62001db81]"}, // Zeek's too
		"a;b@c":                          {"ab@c"},
		"a;@b":                           {"a@b"},
		"a>@b":                           {"a@b"},
		"@a@b":                           {"a@b"},
		"a@b@c":                          {"a@b@c"},
		"a\tb@c\td@e":                    {"b@c", "d@e"},
		"<>":                             nil,
		"<@b>":                           nil,
		"<a@>":                           nil,
		"<postmaster>":                   nil,
		"\"A\" <a@b>":                    {"a@b"},
		strings.Repeat("x", 600) + "@":   nil,
		strings.Repeat("x@y ", 3) + "x@": {"x@y", "x@y", "x@y"},
	} {
		t.Run(arg, func(t *testing.T) {
			var got []string
			for addr := range addresses([]byte(arg)) {
				got = append(got, string(addr))
			}
			assert.Equal(t, want, got)
			for range addresses([]byte(arg)) {
				break
			}
		})
	}
}

func TestMailboxes(t *testing.T) {
	for value, want := range map[string][]string{
		"a@b":                        {"a@b"},
		" A <a@b> , c@d":             {"A <a@b>", "c@d"},
		`"B, b" <b@s>, c@d`:          {`"B, b" <b@s>`, "c@d"},
		`"B, b <b@s>, c@d`:           {"b <b@s>", "c@d"},
		`"a" b, "c, d@e" f@g,`:       {`"c, d@e" f@g`},
		"undisclosed recipients: ;":  nil,
		"@b, a@, @, , a@b":           {"a@b"},
		"":                           nil,
		"list: a@b, c@d;":            {"list: a@b", "c@d;"},
		strings.Repeat(`"a,b@c"`, 2): {`"a,b@c""a,b@c"`},
	} {
		t.Run(value, func(t *testing.T) {
			var got []string
			for m := range mailboxes([]byte(value)) {
				got = append(got, string(m))
			}
			assert.Equal(t, want, got)
			for range mailboxes([]byte(value)) {
				break
			}
		})
	}
}

func TestIPAddresses(t *testing.T) {
	for text, want := range map[string][2]string{
		"[192.0.2.1]":                                      {"192.0.2.1", "192.0.2.1"},
		"192.0.2.1":                                        {"192.0.2.1", ""},
		"x 192.0.2.1":                                      {"192.0.2.1", ""},
		"192.0.2.1 x":                                      {"192.0.2.1", ""},
		"(192.0.2.1) {192.0.2.2} 192.0.2.3 ":               {"192.0.2.1 192.0.2.2 192.0.2.3", "192.0.2.1 192.0.2.2 192.0.2.3"},
		"(192.0.2.1] [192.0.2.2) {192.0.2.3 ":              {"192.0.2.1 192.0.2.2 192.0.2.3", ""},
		"[2001:db8::1]":                                    {"2001:db8::1", "2001:db8::1"},
		"[IPv6:2001:db8::1]":                               {"6:2001:db8::1", ""},
		"[::ffff:192.0.2.1]":                               {"192.0.2.1", "192.0.2.1"},
		"[::] [1.2.3] [1.2.3.256] [abc] [a:b] [1.]":        {"::", "::"},
		"[FFFF:ffff:0:1:2:3:4:5]":                          {"ffff:ffff:0:1:2:3:4:5", "ffff:ffff:0:1:2:3:4:5"},
		"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]":  {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555]": {"", ""},
		"`192.0.2.1g 192.0.2.2@":                           {"192.0.2.1 192.0.2.2", ""},
		"":                                                 {"", ""},
	} {
		t.Run(text, func(t *testing.T) {
			for i, wrapped := range []bool{false, true} {
				var got []string
				for addr := range ipAddresses([]byte(text), wrapped) {
					got = append(got, addr.String())
				}
				assert.Equal(t, want[i], strings.Join(got, " "), "%s %v", text, wrapped)
				for range ipAddresses([]byte(text), wrapped) {
					break
				}
			}
		})
	}
}

func TestWeirds(t *testing.T) {
	long := strings.Repeat("x", 5000)
	many := func(n int, format string) (all string) {
		for i := range n {
			all += fmt.Sprintf(format, i)
		}
		return all
	}
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"nothing":                       {join(hello, envelope, content, quit), nil},
		"no sender":                     {join(hello, envelope[2:]), []string{"smtp_mail_transaction_invalid"}},
		"no recipient":                  {join(hello, envelope[:2], content), []string{"smtp_mail_transaction_invalid"}},
		"no recipient of a chunk":       {join(hello, envelope[:2], []Turn{Orig("BDAT 0\r\n")}), []string{"smtp_mail_transaction_invalid"}},
		"no recipient of the next mail": {join(hello, envelope, content, envelope[:2], content), []string{"smtp_mail_transaction_invalid"}},
		"no sender of the next mail":    {join(hello, envelope, content, envelope[2:]), []string{"smtp_mail_transaction_invalid"}},
		"after the last chunk":          {join(hello, envelope, []Turn{Orig("BDAT 0 LAST\r\n")}, envelope[2:]), []string{"smtp_mail_transaction_invalid"}},
		"a sender again":                {join(hello, envelope, envelope[:2], content), []string{"smtp_mail_transaction_invalid"}},
		"no last chunk":                 {join(hello, envelope, []Turn{Orig("BDAT 2\r\nhiNOOP\r\n")}), []string{"smtp_missing_bdat_last_chunk"}},
		"a huge chunk":                  {join(hello, envelope, []Turn{Orig("BDAT 9223372036854775808\r\n")}), []string{"smtp_huge_bdat_chunk"}},
		"a gap after a chunk": {
			join(hello, envelope, []Turn{{FromOrig: true, Data: "BDAT 2\r\nhi", Lost: 9}, Resp("250 ok\r\n"), Orig("NOOP\r\n")}), nil,
		},
		"a gap after an empty chunk": {join(hello, envelope, []Turn{{FromOrig: true, Data: "BDAT 0\r\n", Lost: 9}}), nil},
		"a gap in a chunk":           {join(hello, envelope, []Turn{{FromOrig: true, Data: "BDAT 9\r\n", Lost: 9}}), []string{"smtp_bdat_remaining_at_end_data"}},
		"a long line in a chunk": {
			join(hello, envelope, []Turn{Orig("BDAT 20000 LAST\r\nSubject: " + long + long + "\r\n\r\n")}),
			[]string{"smtp_bdat_line_too_long", "log_string_field_truncated"},
		},
		"a long line in two chunks": {
			join(hello, envelope, []Turn{Orig("BDAT 5000\r\nX: " + long[:4997]), Resp("250 ok\r\n"), Orig("BDAT 5000 LAST\r\n" + long[:5000])}),
			[]string{"smtp_bdat_line_too_long"},
		},
		"a line in a chunk": {join(hello, envelope, []Turn{Orig("BDAT 20000 LAST\r\nX: " + strings.Repeat("x", maxChunkLine-4) + "\r\n")}), nil},
		"a long text":       {join(hello, envelope, []Turn{Resp("250 " + long + "\r\n")}), []string{"log_string_field_truncated"}},
		"texts that just fit": {
			join(hello, envelope, []Turn{Orig("DATA\r\nSubject: " + long[:logs.MaxText] + "\r\n\r\n"), Resp("354 " + long[:logs.MaxText-4] + "\r\n")}), nil,
		},
		"a reply too long by one": {
			join(hello, envelope, []Turn{Resp("250 " + long[:logs.MaxText-3] + "\r\n")}), []string{"log_string_field_truncated"},
		},
		"many recipients":   {join(hello, []Turn{Orig("MAIL FROM:<a@b>\r\n" + many(maxAddrs+1, "RCPT TO:<%d@b>\r\n"))}), []string{"smtp_excessive_pending_cmds", "smtp_too_many_rcptto_addresses"}},
		"enough recipients": {join(hello, []Turn{Orig("MAIL FROM:<a@b>\r\n" + many(maxAddrs-1, "RCPT TO:<%d@b>\r\n"))}), nil},
		"many addresses":    {join(hello, envelope, []Turn{Orig("DATA\r\n" + many(maxAddrs+1, "To: %d@b\r\nCc: a@b\r\n") + "\r\n")}), []string{"smtp_too_many_to_addresses"}},
		"enough addresses":  {join(hello, envelope, []Turn{Orig("DATA\r\n" + many(maxAddrs, "To: %d@b\r\n") + "\r\n")}), nil},
		"a long list": {
			join(hello, envelope, []Turn{Orig("DATA\r\n" + many(maxList/maxAddr+1, "To: %d@"+long[:maxAddr]+"\r\n") + "\r\n")}), nil,
		},
		"a list that is too long": {
			join(hello, envelope, []Turn{Orig("DATA\r\n" + many(maxList/maxAddr+2, "To: %d@"+long[:maxAddr]+"\r\n") + "\r\n")}),
			[]string{"smtp_too_many_to_addresses"},
		},
		"a row that is too long": {
			join(hello, envelope, []Turn{Orig("DATA\r\n" + many(maxAddrs, "To: %d@b\r\n") + many(maxAddrs, "Cc: %d@"+long[:55]+"\r\n") + "\r\n")}),
			[]string{"smtp_too_many_cc_addresses"},
		},
		"many copies":         {join(hello, envelope, []Turn{Orig("DATA\r\n" + many(maxAddrs+1, "Cc: %d@b\r\nTo: a@b\r\n") + "\r\n")}), []string{"smtp_too_many_cc_addresses"}},
		"many relays":         {join(hello, envelope, []Turn{Orig("DATA\r\n" + many(maxAddrs-1, "Received: [2001:db8::%d]\r\n") + "\r\n")}), []string{"smtp_max_path_length_exceeded"}},
		"not too many relays": {join(hello, envelope, []Turn{Orig("DATA\r\n" + many(maxAddrs-2, "Received: [2001:db8::%d]\r\n") + "\r\n")}), nil},
		"a long field": {
			join(hello, envelope, []Turn{Orig("DATA\r\nSubject: x\r\n" + strings.Repeat(" "+long+"\r\n", 7) + "\r\n")}),
			[]string{"exceeded_mime_max_header_bytes", "log_string_field_truncated"},
		},
		"a carriage return": {join(hello, []Turn{Orig("NO\rOP\r\n")}), []string{"line_terminated_with_single_CR"}},
		"a zero byte":       {join(hello, []Turn{Orig("NOOP \x00\r\n")}), []string{"NUL_in_line"}},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, tt.turns...)
			assert.Equal(t, tt.want, o.Weirds)
		})
	}
	for arg, want := range map[string]string{
		"": "BDAT argument bad length", "18446744073709551615 LAST1": "BDAT argument bad length",
		"-1 LAST": "BDAT not followed by a valid chunk-size", "x": "BDAT not followed by a valid chunk-size",
		":": "BDAT not followed by a valid chunk-size", "/1": "BDAT not followed by a valid chunk-size",
		"18446744073709551616": "BDAT chunk-size too large", "5x": "BDAT chunk-size not valid",
		"5 FIRST": "BDAT chunk-size followed by junk", "5 ": "BDAT chunk-size followed by junk",
		"18446744073709551615 LAST": "18446744073709551615", "5 LAST": "", "0": "", "9": "",
	} {
		t.Run(arg, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, join(hello, envelope, []Turn{Orig("BDAT " + arg + "\r\n")})...)
			assert.Equal(t, want, strings.Join(slices.Collect(maps.Values(o.Addl)), ";"))
		})
	}
}

func TestInvalidCommandsEndSMTP(t *testing.T) {
	for n, want := range map[int]protocol.Next{maxInvalid: protocol.More, maxInvalid + 1: protocol.Stop} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			res := Play(t, New(o), c, join(hello, []Turn{Orig(strings.Repeat("RCPT TO:<a@b>\r\n", n))})...)
			assert.Equal(t, want, res.Next)
			assert.Equal(t, want == protocol.Stop, slices.Contains(o.Weirds, "smtp_excessive_invalid_mail_transactions"))
			assert.True(t, conn.Registered(c, finalize))
			conn.StateRemove(c)
			assert.Len(t, o.Rows, 1)
		})
	}
}

func TestStateIsBounded(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	long := strings.Repeat("x", 16000)
	var many strings.Builder
	many.WriteString("EHLO c" + long + "\r\nMAIL FROM:<a@b>\r\n")
	for i := range 5000 {
		fmt.Fprintf(&many, "RCPT TO:<%d@%s>\r\n", i, long[:1000])
	}
	Play(t, p, c, Resp("220 hi\r\n"), Orig(many.String()))
	s := session.Get(c)
	assert.LessOrEqual(t, len(s.waiting), maxWaiting)
	assert.Len(t, s.pending[0].row.RcptTo[0], maxAddr)
	assert.LessOrEqual(t, p.MemoryUsed(c), maxRow+64<<10)
	assert.LessOrEqual(t, len(strings.Join(s.pending[0].row.RcptTo, "")), maxList+maxAddr)
	header := "Date: " + long + "\r\nTo: " + strings.Repeat("a@b,", 1000) + "\r\nReceived: " + long + "\r\n"
	Play(t, p, c, Orig("DATA\r\n"+strings.Repeat(header, 100)))
	assert.LessOrEqual(t, p.MemoryUsed(c), maxRow+64<<10)
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 1)
}

// MemoryUsed counts everything that can grow: a text once, an address with its place in a list and
// in the set of members.
func TestHeldCounts(t *testing.T) {
	held := func(turns []Turn) int {
		p, c := New(&Recorder{}), Conn()
		Play(t, p, c, join(hello, envelope, turns)...)
		return p.MemoryUsed(c)
	}
	mail := func(fields ...string) []Turn { // whose last field is not kept
		return []Turn{Orig("DATA\r\n" + strings.Join(append(fields, "X:"), "\r\n") + "\r\n")}
	}
	const inList = 2*16 + 3*24
	x := strings.Repeat("x", 100)
	for name, tt := range map[string]struct {
		less, more []Turn
		want       int
	}{
		"a text":                        {mail("Subject: s"), mail("Subject: a longer one"), 11},
		"a text that is replaced":       {mail("Subject: s"), mail("Subject: a longer one", "Subject: s"), 0},
		"an address":                    {mail(), mail("To: a@b"), 3 + inList},
		"an address again":              {mail("To: a@b"), mail("To: a@b", "To: a@b"), 0},
		"an address in another list":    {mail("To: a@b"), mail("To: a@b", "Cc: a@b"), 3 + inList},
		"where it was received":         {mail(), mail("Received: one"), 3},
		"where else it was received":    {mail(), mail("Received: one", "Received: three"), 8},
		"and where it was before":       {mail(), mail("Received: seven", "Received: one", "Received: three"), 8},
		"a path":                        {mail("Received: 192.0.2.7"), mail("Received: [192.0.2.7]"), 2 + 2*24},
		"the client, also of a row":     {[]Turn{Orig("EHLO c\r\n")}, []Turn{Orig("EHLO client\r\n")}, 2 * 5},
		"commands":                      {[]Turn{Orig(strings.Repeat("NOOP\r\n", 8))}, []Turn{Orig(strings.Repeat("NOOP\r\n", 64))}, 56},
		"a field that may be continued": {[]Turn{Orig("DATA\r\nSubject:" + x[:16] + "\r\n")}, []Turn{Orig("DATA\r\nSubject:" + x[:64] + "\r\n")}, 48},
		"part of a line in a chunk":     {[]Turn{Orig("BDAT 99\r\n" + x[:16])}, []Turn{Orig("BDAT 99\r\n" + x[:64])}, 48},
		"nothing of other fields":       {mail(), mail("Comments: " + x), 0},
		"nothing of what is no chunk":   {mail(), mail("", x), 0},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, held(tt.more)-held(tt.less))
		})
	}
}

func TestHeldAfterLog(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, join(hello, envelope)...)
	p.FreeMemory(c)
	assert.Len(t, o.Rows, 1)
	Play(t, p, c, Orig("DATA\r\nX:\r\n"))
	before := p.MemoryUsed(c)
	var fields strings.Builder
	for i := range 100 {
		fmt.Fprintf(&fields, "Received: [192.0.2.%d]\r\nSubject: s\r\nTo: %d@b\r\nX-Originating-IP: 192.0.2.1\r\n", i, i)
	}
	Play(t, p, c, Orig(fields.String()+"X:\r\n"))
	assert.Equal(t, before, p.MemoryUsed(c))
	Play(t, p, c, Orig(".\r\nMAIL FROM:<n@c.test>\r\n"))
	conn.StateRemove(c)
	require.Len(t, o.Rows, 2)
	assert.Equal(t, "n@c.test", o.Rows[1].(*Row).MailFrom, "the next one is")
}

// A command that awaits its reply does not keep its line alive.
func TestWaitingCommandsTakeOneByte(t *testing.T) {
	c, p := Conn(), New(&Recorder{})
	Play(t, p, c, Orig(strings.Repeat("NOOP "+strings.Repeat("x", 16000)+"\r\n", 900)))
	assert.Len(t, session.Get(c).waiting, 901)
	assert.LessOrEqual(t, p.MemoryUsed(c), 4096)
}

// A mail without a sender is not logged, but its header's fields are held until it has one.
func TestFreeMemoryOfUnloggedMail(t *testing.T) {
	c, o := Conn(), &Recorder{}
	p := New(o)
	text := strings.Repeat("\x97", logs.MaxText)
	turns := []Turn{Orig("EHLO " + text + "\r\nDATA\r\nSubject: " + text + "\r\nDate: " + text + "\r\n"), Resp("250 " + text + "\r\n")}
	Play(t, p, c, turns...)
	assert.Greater(t, p.MemoryUsed(c), 16*logs.MaxText)
	p.FreeMemory(c)
	assert.Less(t, p.MemoryUsed(c), MaxRetained)
	Play(t, p, c, Orig(".\r\nMAIL FROM:<a@b>\r\n"))
	conn.StateRemove(c)
	require.Len(t, o.Rows, 1)
	assert.Equal(t, "a@b", o.Rows[0].(*Row).MailFrom)
	assert.Empty(t, o.Rows[0].(*Row).Subject)
}

func TestFreeMemory(t *testing.T) {
	turns := join(hello, envelope, content, envelope, []Turn{
		Orig(fmt.Sprintf("BDAT %d LAST\r\n%s", len(header), header)), Resp("250 ok\r\n"),
	}, envelope, quit)
	want := len(account.Check(t, turns, 3, func(int) bool { return false }))
	require.Equal(t, 3, want)
	for at := 1; ; at++ {
		n := 0
		rows := account.Check(t, turns, 3, func(i int) bool { n = i; return i == at })
		if at > n {
			break
		}
		require.Len(t, rows, want, "%d", at)
		for i, row := range rows {
			require.Equal(t, i+1, row.(*Row).TransDepth)
			require.Equal(t, "a@c.test", row.(*Row).MailFrom)
		}
	}
	require.Len(t, account.Check(t, turns, 3, func(int) bool { return true }), want)
	New(nil).FreeMemory(Conn()) // of an unknown connection
	assert.Zero(t, New(nil).MemoryUsed(Conn()))
}

var account = linestest.Account{
	New: parser, State: func(c *conn.Connection) any { return session.Get(c) }, Retained: MaxRetained, PerByte: 128,
}

func FuzzParser(f *testing.F) {
	for _, turns := range [][]Turn{
		join(hello, envelope, content, envelope, content, quit),
		join(hello, envelope, []Turn{Orig("BDAT 14\r\nSubject: s\r\n\r\nBDAT 2 LAST\r\nhi"), Resp("250 ok\r\n250 ok\r\n")}),
		join(hello, []Turn{Orig("STARTTLS\r\n"), Resp("220 go\r\n\x16\x03"), Orig("\x16\x03\x01")}),
		join(hello, []Turn{Orig("AUTH LOGIN\r\n"), Resp("334 x\r\n"), Orig("eA==\r\n"), Resp("235 ok\r\n")}),
		join(hello, []Turn{{FromOrig: true, Data: "BDAT 20 LAST\r\nFrom: a", Lost: 5}, Orig("x"), Resp("354 go\r\n")}),
		join(envelope, []Turn{Orig("DATA\r\nTo: a@b, \"x, y\" <c@d>\r\nReceived: [1.2.3.4]\r\n\r\n.\r\n"), Resp("354 go\r\n250 ok\r\n")}),
	} {
		f.Add(Encode(turns...), uint8(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, flush uint8) {
		turns := Decode(input)
		FuzzRows(t, parser, turns...)
		account.CheckAllocations(t, turns, 1+int(flush))
		rows := account.Check(t, turns, 3, func(int) bool { return false })
		account.Check(t, turns, 3, func(n int) bool { return n == int(flush) })
		flushed := account.Check(t, turns, 3, func(n int) bool { return n%(1+int(flush)) == 0 })
		require.LessOrEqual(t, len(flushed), len(rows), "rows with FreeMemory in between")
	})
}

func BenchmarkParser(b *testing.B) {
	mail := header + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 200) + ".\r\n"
	var all []Turn
	for range 10 {
		all = append(all, join(envelope, []Turn{Orig("DATA\r\n"), Resp("354 go\r\n"), Orig(mail), Resp("250 ok\r\n")})...)
	}
	for _, bm := range []struct {
		name  string
		turns []Turn
	}{
		{"friendly=mail", join(hello, all, quit)},
		{"hostile=commands", []Turn{Orig(strings.Repeat("NOOP\n", 100000))}},
		{"hostile=replies", []Turn{Resp(strings.Repeat("250\n", 100000))}},
		{"hostile=recipients", []Turn{Orig(strings.Repeat("RCPT TO:a@b\n", 20)), Orig("MAIL FROM:a@b\n"), Orig(strings.Repeat("RCPT TO:a@b\n", 20000))}},
		{"hostile=header", join(envelope, []Turn{Orig("DATA\n" + strings.Repeat("x\n", 100000))})},
		{"hostile=fields", join(envelope, []Turn{Orig("DATA\n" + strings.Repeat("To:a@b\n", 100000))})},
		{"hostile=addresses", join(envelope, []Turn{Orig("DATA\n" + strings.Repeat("To:"+strings.Repeat("a@b,", 5000)+"\n", 10))})},
		{"hostile=received", join(envelope, []Turn{Orig("DATA\n" + strings.Repeat("Received:"+strings.Repeat(" a::b ", 2000)+"\n", 10))})},
		{"hostile=chunks", join(envelope, []Turn{Orig(strings.Repeat("BDAT 1\nx", 50000))})},
	} {
		b.Run(bm.name, func(b *testing.B) { account.Bench(b, bm.turns...) })
	}
}

func TestParsingCommandsAllocatesNothing(t *testing.T) {
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		for line, want := range map[string]verb{"": unknown, "x": unknown, "noop": other, "StartTLS": startTLS, "x-anonymoustls y": xAnonymousTLS} {
			if v, _ := parseCommand([]byte(line)); v != want {
				t.Error(line)
			}
		}
	}))
}
