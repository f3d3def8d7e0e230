package smtp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/examples/analyzer/protocol"
	. "example.com/conn/examples/analyzer/protocol/protocoltest"
)

func parser(o protocol.Owner) protocol.Parser { return New(o) }

// play returns the rows of turns: depth, helo, mailfrom, rcptto and last_reply, with a slash between them.
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
			[]string{"1/c.test/a@c.test/b@s.test/250 ok"}, // Zeek's too: LAST was seen before the first reply
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
		"unknown commands": {
			join(hello, []Turn{Orig("XYZ\r\n"), Resp("500 What\r\n"), Orig("MAILFROM:<x@y.z>\r\n"), Resp("500 What\r\n")}, envelope),
			[]string{"1/c.test/a@c.test/b@s.test/250 2.1.5 Ok"},
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
		"a gap in a chunk": {
			join(hello, envelope, []Turn{
				{FromOrig: true, Data: "BDAT 20 LAST\r\nab", Lost: 17}, Orig("."), Resp("250 done\r\n"),
			}, quit),
			[]string{"1/c.test/a@c.test/b@s.test/250 done"},
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

func TestRefusedStartTLSGoesOn(t *testing.T) {
	assert.Equal(t, []string{"1/c.test/a@c.test/b@s.test/250 2.0.0 queued"},
		play(t, join(hello, []Turn{Orig("STARTTLS\r\n"), Resp("454 no\r\n")}, envelope, content)...))
}

func TestFinalizerIsUnregisteredWhenNothingCanBePending(t *testing.T) {
	c := Conn()
	Play(t, New(&Recorder{}), c, join(hello, envelope, content, quit[:2])...)
	assert.True(t, conn.Registered(c, finalize))

	c = Conn()
	Play(t, New(&Recorder{}), c, join(hello, envelope, content, quit)...)
	assert.False(t, conn.Registered(c, finalize), "after both ends")

	c = Conn()
	Play(t, New(&Recorder{}), c, join(hello, envelope, quit)...)
	assert.True(t, conn.Registered(c, finalize), "a mail is not complete")

	c = Conn()
	res := Play(t, New(&Recorder{}), c, join(hello, []Turn{Resp("?\r\n")})...)
	assert.Equal(t, protocol.Violation, res.Next)
	assert.False(t, conn.Registered(c, finalize), "after a violation")
}

func TestConfirmedByACommand(t *testing.T) {
	p, c := New(&Recorder{}), Conn()
	assert.False(t, p.Confirmed(c))
	Play(t, p, c, hello[0], Resp("?\r\n"))
	assert.False(t, p.Confirmed(c))
	Play(t, p, c, hello[1])
	assert.True(t, p.Confirmed(c))
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
		{"HELO", "", protocol.Maybe},
		{"HELO", "2201", protocol.No},
		{"HELO", "554 no", protocol.No},
		{"USER", "220 hi", protocol.No},
		{"GET /", "", protocol.No},
	} {
		assert.Equal(t, tt.want, New(nil).Match([]byte(tt.orig), []byte(tt.resp)), "%q %q", tt.orig, tt.resp)
	}
}

const header = "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n" +
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
		"first_received": "from y (203.0.113.8) by x",
		"second_received": "from x ([203.0.113.7]) by s (192.0.2.1); now",
		"last_reply": "250 ok", "path": ["198.51.100.2", "192.0.2.1", "203.0.113.8"],
		"user_agent": "m 1", "tls": false
	}`
	at := strings.Index(header, "\r\nFrom:") - 3 // between a carriage return and a line feed
	for name, mail := range map[string][]Turn{
		"in lines":  {Orig("DATA\r\n"), Resp("354 go\r\n"), Orig(header + ".\r\n"), Resp("250 ok\r\n")},
		"in chunks": {Orig(fmt.Sprintf("BDAT %d LAST\r\n%s", len(header), header)), Resp("250 ok\r\n")},
		"in chunks that cut lines": {
			Orig("BDAT 3\r\n" + header[:3]), Resp("250 ok\r\n"), Orig("BDAT 1\r\n" + header[3:4]), Resp("250 ok\r\n"),
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

func TestAddresses(t *testing.T) {
	for arg, want := range map[string][]string{
		"<a@b> SIZE=1":                 {"a@b"},
		" a@b":                         {"a@b"},
		"<@r1,@r2:a@b>":                {"a@b"},
		"<a@b> ORCPT=rfc822;c@d":       {"a@b", "c@d"},
		"<>":                           nil,
		"<@b>":                         nil,
		"<a@>":                         nil,
		"<postmaster>":                 nil,
		"\"A\" <a@b>":                  {"a@b"},
		strings.Repeat("x", 600) + "@": nil,
	} {
		assert.Equal(t, want, addresses(arg), arg)
	}
}

func TestStateIsBounded(t *testing.T) {
	c := Conn()
	var many strings.Builder
	many.WriteString("EHLO c\r\nMAIL FROM:<a@b>\r\n")
	for i := range 5000 {
		fmt.Fprintf(&many, "RCPT TO:<%d@%s>\r\n", i, strings.Repeat("x", 1000))
	}
	many.WriteString("DATA\r\n" + strings.Repeat("To: "+strings.Repeat("a,", 1000)+"\r\n", 100))
	Play(t, New(&Recorder{}), c, Resp("220 hi\r\n"), Orig(many.String()))
	s := session.Get(c)
	assert.LessOrEqual(t, len(s.waiting), maxWaiting)
	assert.Len(t, s.row.RcptTo, maxAddrs)
	assert.Len(t, s.row.RcptTo[0], maxAddr)
	conn.StateRemove(c)
	assert.Len(t, s.row.To, 0)
}

func FuzzParser(f *testing.F) {
	f.Add(Encode(join(hello, envelope, content, envelope, content, quit)...))
	f.Add(Encode(join(hello, envelope, []Turn{Orig("BDAT 14\r\nSubject: s\r\n\r\nBDAT 2 LAST\r\nhi"), Resp("250 ok\r\n250 ok\r\n")})...))
	f.Add(Encode(join(hello, []Turn{Orig("STARTTLS\r\n"), Resp("220 go\r\n\x16\x03"), Orig("\x16\x03\x01")})...))
	f.Add(Encode(join(hello, []Turn{Orig("AUTH LOGIN\r\n"), Resp("334 x\r\n"), Orig("eA==\r\n"), Resp("235 ok\r\n")})...))
	f.Add(Encode(join(hello, []Turn{{FromOrig: true, Data: "BDAT 20 LAST\r\nFrom: a", Lost: 5}, Orig("x"), Resp("354 go\r\n")})...))
	f.Fuzz(func(t *testing.T, input []byte) {
		FuzzRows(t, parser, Decode(input)...)
	})
}
