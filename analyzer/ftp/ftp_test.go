package ftp

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/lines/linestest"
	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

func parser(o protocol.Owner) protocol.Parser { return New(o) }

// play returns the rows of turns: user, command, arg, reply_code and reply_msg, with a blank
// between them.
func play(t *testing.T, turns ...Turn) (rows []string) {
	t.Helper()
	Rows(t, parser, turns...)
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, turns...)
	require.True(t, conn.StateRemove(c))
	for _, row := range o.Rows {
		r := row.(*Row)
		code := "-"
		if r.ReplyCode != nil {
			code = fmt.Sprint(*r.ReplyCode)
		}
		rows = append(rows, strings.Join([]string{r.User, r.Command, r.Arg, code, r.ReplyMsg}, " "))
	}
	return rows
}

var login = []Turn{
	Resp("220-hello\r\n there\r\n220 ready\r\n"),
	Orig("USER me\r\n"), Resp("331 password\r\n"), Orig("PASS secret\r\n"), Resp("230 ok\r\n"),
}

func after(login []Turn, turns ...Turn) []Turn {
	return append(login[:len(login):len(login)], turns...)
}

func TestConversations(t *testing.T) {
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"commands that are not logged": {
			after(login, Orig("SYST\r\n"), Resp("215 UNIX\r\n"), Orig("QUIT\r\n"), Resp("221 bye\r\n")), nil,
		},
		"a transfer": {
			after(login, Orig("retr f\r\n"), Resp("150 Opening for f (77 bytes)\r\n"), Resp("226 done\r\n"), Orig("QUIT\r\n")),
			[]string{"me RETR ftp://198.51.100.2/./f 226 done"},
		},
		"a command without a reply": {
			after(login, Orig("DELE f\r\n")),
			[]string{"me DELE ftp://198.51.100.2/./f 230 ok"}, // the code is of the reply before, as in Zeek
		},
		"a command without any reply": {
			[]Turn{Orig("DELE f\r\n")},
			[]string{"<unknown> DELE ftp://198.51.100.2/./f - "},
		},
		"a command that is not complete": {
			after(login, Orig("DELE f")), nil,
		},
		"pipelined commands": {
			after(login,
				Orig("TYPE I\r\nDELE a\r\nDELE b\r\nACCT x\r\n"),
				Resp("200 type\r\n550 no b\r\n250 gone a\r\n230 acct\r\n"),
			),
			[]string{"me DELE ftp://198.51.100.2/./b 550 no b", "me DELE ftp://198.51.100.2/./a 250 gone a", "me ACCT x 230 acct"},
		},
		"a reply that only a later command can have": {
			after(login, Orig("ACCT x1\r\nDELE x2\r\n"), Resp("450 busy\r\n")),
			[]string{"me DELE ftp://198.51.100.2/./x2 450 busy", "me ACCT x1 450 busy"},
		},
		"a reply that names a later command": {
			after(login, Orig("ACCT a\r\nDELE b\r\n"), Resp("501 DELE what\r\n")),
			[]string{"me DELE ftp://198.51.100.2/./b 501 DELE what", "me ACCT a 501 DELE what"},
		},
		"two replies to a change of directory": {
			after(login, Orig("CWD d\r\n"), Resp("250 ok\r\n250 indeed\r\n"), Orig("DELE f\r\n"), Resp("250 ok\r\n")),
			[]string{"me DELE ftp://198.51.100.2/./d/f 250 ok"},
		},
		"the working directory": {
			after(login,
				Orig("CWD d\r\n"), Resp("250 ok\r\n"), Orig("DELE f\r\n"), Resp("250 ok\r\n"),
				Orig("PWD\r\n"), Resp("257 \"/home/my dir\" is it\r\n"), Orig("DELE f\r\n"), Resp("250 ok\r\n"),
				Orig("CDUP\r\n"), Resp("250 ok\r\n"), Orig("DELE ../x//y/./z\r\n"), Resp("250 ok\r\n"),
				Orig("CWD no\r\n"), Resp("550 no\r\n"), Orig("DELE /a/b\r\n"), Resp("250 ok\r\n"),
				Orig("CWD /r\r\n"), Resp("250-a\r\n250 ok\r\n"), Orig("DELE C:\\f\r\n"), Resp("250 ok\r\n"),
				Orig("XPWD\r\n"), Resp("257 in /q now\r\n"), Orig("DELE f\r\n"), Resp("250 ok\r\n"),
			),
			[]string{
				"me DELE ftp://198.51.100.2/./d/f 250 ok", "me DELE ftp://198.51.100.2/home/my dir/f 250 ok",
				"me DELE ftp://198.51.100.2/x/y/z 250 ok", "me DELE ftp://198.51.100.2/a/b 250 ok",
				"me DELE ftp://198.51.100.2/C:\\f 250 ok", "me DELE ftp://198.51.100.2/q/f 250 ok",
			},
		},
		"replies of several lines": {
			after(login,
				Orig("ACCT x\r\n"), Resp("230-one\r\n\r\n 230 two\r\n230-three\r\n2301 four\r\n230 last\r\n"), Orig("DELE f\r\n"), Resp("250 ok\r\n")),
			[]string{"me ACCT x 230 last", "me DELE ftp://198.51.100.2/./f 250 ok"},
		},
		"what looks like a reply inside a reply": {
			after(login, Orig("STOR f\r\n"), Resp("150-go\r\n226 Transfe\x01 complete.\r\n226 short\r\n022 not a reply code.\r\n226_not a reply code.\r\n"), Orig("NOOP\r\n")),
			[]string{"me STOR ftp://198.51.100.2/./f 150 go"},
		},
		"replies without a text": {
			after(login, Orig("DELE f\r\n"), Resp("250-\r\n250\r\n250-x\r\n250 \r\n"), Orig("DELE g\r\n"), Resp("550 no\r\n")),
			[]string{"me DELE ftp://198.51.100.2/./f 250 ", "me DELE ftp://198.51.100.2/./g 550 no"},
		},
		"a reply whose first line has no text": {
			after(login, Orig("DELE f\r\nNOOP\r\n"), Resp("250-\r\n250 gone\r\n200 ok\r\n")),
			[]string{"me DELE ftp://198.51.100.2/./f 250 gone"},
		},
		"a reply without an end": {
			after(login, Orig("STOR f\r\n"), Resp("150 go\r\n230- warning\r\n   bad\r\n226 Transfer complete.\r\n"), Orig("NOOP\r\n")),
			[]string{"me STOR ftp://198.51.100.2/./f 0 226 Transfer complete."},
		},
		"lines that are no commands": {
			after(login, Orig("\r\nAB x\r\n\x01\x02\x03\r\n"+strings.Repeat("X", maxVerb+1)+"\r\n  ACCT   x y \r\n")),
			[]string{"me ACCT x y  230 ok"},
		},
		"Telnet commands": {
			after(login, Orig("STOR f\r\n"), Orig("\xff\xf4\xff\xf2ABOR\r\n"), Orig("\xff\xfb\x01ACCT \xff\xff\xff\r\n"), Resp("225 ABOR\r\n")),
			[]string{"me STOR ftp://198.51.100.2/./f 225 ABOR", `me ACCT \xff 225 ABOR`},
		},
		"a reply that is none": {
			after(login, Orig("ACCT x\r\n"), Resp("what\r\n230 ok\r\n"), Orig("DELE f\r\n")),
			[]string{"me ACCT x 230 ok"},
		},
		"a reply that is none, late": {
			after(login,
				Orig("HELP\r\n"), Resp("214-help\r\n"+strings.Repeat(" x\r\n", 3000)+"214 ok\r\nwhat\r\n"),
				Orig("DELE f\r\n"), Resp("250 ok\r\n"),
			),
			[]string{"me DELE ftp://198.51.100.2/./f 250 ok"},
		},
		"replies before a command": {
			[]Turn{Resp("what\r\n099 x\r\n220x\r\n220 hi\r\n"), Orig("DELE f\r\n"), Resp("250 ok\r\n")},
			[]string{"<unknown> DELE ftp://198.51.100.2/./f 250 ok"},
		},
		"a gap": {
			after(login, Turn{FromOrig: true, Data: "DELE a", Lost: 9}, Orig("b\r\nDELE f\r\n"), Resp("250 ok\r\n")),
			[]string{"me DELE ftp://198.51.100.2/./f 250 ok"},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, play(t, tt.turns...)) })
	}
}

func TestDataConnectionsAreAnnounced(t *testing.T) {
	for _, tt := range []struct{ command, reply, orig, resp string }{
		{"PORT 192,0,2,1,4,31", "200 ok", "198.51.100.2", "192.0.2.1:1055"},
		{"PORT 192,0,2,1,4,31", "", "198.51.100.2", "192.0.2.1:1055"},
		{"PORT 192,0,2,256,4,31", "", "", ""},
		{"PORT 192,0,2", "", "", ""},
		{"EPRT |1|192.0.2.7|1055|", "200 ok", "198.51.100.2", "192.0.2.7:1055"},
		{"EPRT !2!2001:db8::1!1055!", "200 ok", "198.51.100.2", "[2001:db8::1]:1055"},
		{"EPRT |1|192.0.2.7|65536|", "", "", ""},
		{"EPRT |1|not|1055|", "", "", ""},
		{"EPRT |1|192.0.2.7", "", "", ""},
		{"EPRT |1|192.0.2.7|" + strings.Repeat("0", 200) + "1|", "", "", ""},
		{"EPRT", "", "", ""},
		{"PASV", "227 Entering Passive Mode (198,51,100,9,4,31).", "192.0.2.1", "198.51.100.9:1055"},
		{"PASV", "227 =198,51,100,9,4,31", "192.0.2.1", "198.51.100.9:1055"},
		{"PASV", "227 no", "", ""},
		{"PASV", "500 (1,2,3,4,5,6)", "", ""},
		{"SYST", "227 (1,2,3,4,5,6)", "", ""},
		{"EPSV", "229 Extended (|||1055|)", "192.0.2.1", "198.51.100.2:1055"},
		{"EPSV", "229 Extended (|1|192.0.2.9|1055|)", "192.0.2.1", "192.0.2.9:1055"},
		{"EPSV", "229 Extended |||1055|", "", ""},
		{"EPSV", "500 Extended (|||1055|)", "", ""},
		{"SYST", "229 Extended (|||1055|)", "", ""},
	} {
		t.Run(tt.command, func(t *testing.T) {
			turns := after(login, Orig(tt.command+"\r\n"))
			if tt.reply != "" {
				turns = after(turns, Resp(tt.reply+"\r\n"))
			}
			Rows(t, parser, turns...)
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, turns...)
			conn.StateRemove(c)
			if tt.resp == "" {
				assert.Empty(t, o.Expected, "%s %s", tt.command, tt.reply)
				return
			}
			require.Len(t, o.Expected, 1, "%s %s", tt.command, tt.reply)
			e := o.Expected[0]
			assert.Equal(t, "ftp-data", e.Service)
			assert.Equal(t, tt.orig, e.Orig.String())
			assert.Equal(t, tt.resp, e.Resp.String())
			row := o.Rows[0].(*Row)
			assert.Equal(t, &DataChannel{
				Passive: tt.command[0] == 'P' && tt.command[1] == 'A' || tt.command == "EPSV",
				OrigH:   e.Orig, RespH: e.Resp.Addr(), RespP: e.Resp.Port(),
			}, row.DataChannel)
		})
	}
}

// The hook that frees a channel is registered on one connection and changes the state of another.
func TestOpenDataConnectionsAreBounded(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	port := Orig("PORT 192,0,2,1,4,31\r\n")
	for range maxChannels + 3 {
		Play(t, p, c, port)
	}
	require.Len(t, o.Expected, maxChannels)
	assert.Equal(t, []string{"FTP_too_many_pending_commands", "FTP_too_many_data_channels"}, o.Weirds)

	data := make([]*conn.Connection, 2)
	for i := range data {
		data[i] = Conn()
		o.Expected[i].Attach(data[i])
	}
	Play(t, p, c, port)
	require.Len(t, o.Expected, maxChannels, "while the data connections are open")
	assert.True(t, conn.StateRemove(data[0]))
	Play(t, p, c, port, port)
	require.Len(t, o.Expected, maxChannels+1, "one has ended")

	s := session.Get(c)
	s.now = s.now.Add(lapse + time.Second)
	s.expect(c, c.ID.Resp.Addr(), netip.MustParseAddrPort("192.0.2.1:1"), false)
	assert.Len(t, s.channels, 2, "the open one and the new one: the others have lapsed")

	conn.StateRemove(c)
	assert.True(t, conn.StateRemove(data[1]), "after the control connection")
	assert.Len(t, s.channels, 1)
}

func TestAuthTLSHandsOver(t *testing.T) {
	turns := []Turn{Resp("220 hi\r\n"), Orig("AUTH tls\r\n"), Resp("234 go\r\n\x16\x03"), Orig("\x16\x03\x01")}
	assert.Nil(t, play(t, turns...))
	o, c := &Recorder{}, Conn()
	p := New(o)
	res := Play(t, p, c, turns...)
	assert.Equal(t, Result{Next: protocol.HandOver, Rest: [2]string{"\x16\x03\x01", "\x16\x03"}}, res)
	assert.False(t, conn.Registered(c, finalize))

	Play(t, p, c, Orig("DELE f\r\n"))
	assert.True(t, conn.Registered(c, finalize), "FTP continues after all")
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 1)
}

func TestOtherAuthContinues(t *testing.T) {
	assert.Equal(t, []string{"<unknown> DELE ftp://198.51.100.2/./f 250 ok"}, play(t,
		Resp("220 hi\r\n"), Orig("AUTH GSSAPI\r\n"), Resp("234 go\r\n"), Orig("DELE f\r\n"), Resp("250 ok\r\n"),
	))
}

func TestFinalizerOnlyWhileRowIsPending(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, after(login, Orig("SYST\r\n"))...)
	assert.False(t, conn.Registered(c, finalize), "no command that is pending has a row")
	Play(t, p, c, Orig("DELE f\r\n"))
	assert.True(t, conn.Registered(c, finalize))
	Play(t, p, c, Resp("215 UNIX\r\n250 ok\r\n"))
	assert.True(t, conn.Registered(c, finalize), "more replies may come")
	assert.Empty(t, o.Rows)
	Play(t, p, c, Orig("NOOP\r\n"))
	assert.False(t, conn.Registered(c, finalize))
	assert.Len(t, o.Rows, 1)
	Play(t, p, c, Orig("DELE f\r\nSYST\r\n"), Resp("250 ok\r\n"))
	assert.False(t, conn.Registered(c, finalize), "only SYST is pending")
	Play(t, p, c, Resp("215 UNIX\r\n"))
	assert.Len(t, o.Rows, 2)
	Play(t, p, c, Orig("DELE f\r\n"), Ends()[0])
	assert.True(t, conn.Registered(c, finalize), "the other side may reply")
	assert.Len(t, o.Rows, 2)
	Play(t, p, c, Ends()[1])
	assert.False(t, conn.Registered(c, finalize), "after both ends")
	assert.Len(t, o.Rows, 3)

	o, c = &Recorder{}, Conn()
	assert.Equal(t, protocol.Violation, Play(t, New(o), c, after(login, Orig("DELE f\r\n"), Resp("what\r\n"))...).Next)
	assert.False(t, conn.Registered(c, finalize), "after a violation")
	assert.Len(t, o.Rows, 1)
}

func TestFileSize(t *testing.T) {
	for replies, want := range map[string]int64{
		"SIZE f\r\n213 7": 7, "RETR f\r\n150 Opening (7 bytes)": 7, "MDTM f\r\n213 7": 0, "STOR f\r\n150 7": 0, "RETR f\r\n226 7": 0,
		"SIZE f\r\n150 7": 0,
	} {
		t.Run(replies, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			command, reply, _ := strings.Cut(replies, "\r\n")
			Play(t, New(o), c, after(login, Orig(command+"\r\n"), Resp(reply+"\r\n"))...)
			if size := session.Get(c).fileSize; want == 0 {
				assert.Nil(t, size)
			} else {
				assert.Equal(t, want, *size)
			}
		})
	}
}

func TestWithoutTelnet(t *testing.T) {
	for line, want := range map[string]string{
		"ABOR": "ABOR", "\xff\xf4\xff\xf2ABOR": "ABOR", "\xff\xfbxABOR": "ABOR", "\xff\xfexABOR": "ABOR", "\xff\xfaxABOR": "xABOR",
		"a\xff\xffb": "a\xffb", "a\xff": "a", "a\xff\xfb": "a",
	} {
		t.Run(line, func(t *testing.T) {
			assert.Equal(t, want, string(withoutTelnet([]byte(line))))
		})
	}
}

func TestViolation(t *testing.T) {
	for line, want := range map[string]protocol.Next{
		"": protocol.More, "100 x": protocol.More, "220": protocol.More, "220-x": protocol.More, "999 x": protocol.More,
		"099 x": protocol.Violation, "2:0 x": protocol.Violation, "2/0 x": protocol.Violation, "220x": protocol.Violation,
		"22": protocol.Violation, "x": protocol.Violation,
	} {
		t.Run(line, func(t *testing.T) {
			assert.Equal(t, want, Play(t, New(&Recorder{}), Conn(), after(login, Resp(line+"\r\n"))...).Next)
		})
	}
}

func TestConfirmedByACommand(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, Resp("220 hi\r\n"), Orig("?\r\n"+strings.Repeat("X", maxVerb+1)+"\r\n"))
	assert.False(t, o.Confirmed)
	assert.Empty(t, o.Weirds)
	Play(t, p, c, Orig("USER me\r\n"))
	assert.True(t, o.Confirmed)
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		orig, resp string
		want       protocol.Verdict
	}{
		{"", "", protocol.Maybe},
		{"", "220 hi", protocol.Maybe},
		{"US", "220 hi", protocol.Maybe},
		{"USER", "220 hi", protocol.Maybe},
		{"user me", "220 hi", protocol.Yes},
		{"FEAT\r\n", "120-hi", protocol.Yes},
		{" \r\nUSER me", "\r\n220 hi", protocol.Yes},
		{"USER me", "22", protocol.Maybe},
		{"USER me", "", protocol.Maybe},
		{"USER me", "2200", protocol.No},
		{"USER me", "+OK", protocol.No},
		{"USERS", "220 hi", protocol.No},
		{"EHLO x\r\n", "220 hi", protocol.No},
		{"GET /", "", protocol.No},
		{strings.Repeat("A", 1000), "", protocol.No},
	} {
		t.Run(tt.orig, func(t *testing.T) {
			assert.Equal(t, tt.want, New(nil).Match([]byte(tt.orig), []byte(tt.resp)), "%q %q", tt.orig, tt.resp)
		})
	}
}

func TestRow(t *testing.T) {
	rows := Rows(t, parser, after(login,
		Orig("RETR f\xfe\r\n"), Resp("150 Opening (12 of 77)\r\n226 done\r\n"),
		Orig("EPSV\r\n"), Resp("229 ok (|||1055|)\r\n"),
		Orig("USER Anonymous\r\n"), Resp("331 ok\r\n"), Orig("PASS a@b\r\n"), Resp("230 ok\r\n"), Orig("ACCT\r\n"),
	)...)
	head := `"_path": "ftp", "uid": "CTest",
		"id.orig_h": "192.0.2.1", "id.orig_p": 40000, "id.resp_h": "198.51.100.2", "id.resp_p": 80,`
	require.Len(t, rows, 3)
	assert.JSONEq(t, `{`+head+`
		"ts": 1715940005.000000, "user": "me", "password": "<hidden>", "command": "RETR",
		"arg": "ftp://198.51.100.2/./f\\xfe", "file_size": 77, "reply_code": 226, "reply_msg": "done"
	}`, rows[0])
	assert.JSONEq(t, `{`+head+`
		"ts": 1715940007.000000, "user": "me", "password": "<hidden>", "command": "EPSV",
		"reply_code": 229, "reply_msg": "ok (|||1055|)",
		"data_channel.passive": true, "data_channel.orig_h": "192.0.2.1", "data_channel.resp_h": "198.51.100.2",
		"data_channel.resp_p": 1055
	}`, rows[1])
	assert.JSONEq(t, `{`+head+`
		"ts": 1715940013.000000, "user": "Anonymous", "password": "a@b", "command": "ACCT",
		"reply_code": 230, "reply_msg": "ok"
	}`, rows[2])
}

func TestStateIsBounded(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	long := strings.Repeat("x", 10000)
	Play(t, p, c, Orig(strings.Repeat("DELE "+long+"\r\n", 100)+"USER "+long+"\r\nPASS "+long+"\r\n"), Resp("250-"+long+"\r\n"))
	s := session.Get(c)
	other := Conn()
	Play(t, p, other, Resp("220 hi\r\n"), Orig("CWD /"+long+"\r\n"), Resp("250 ok\r\n"))
	assert.Len(t, session.Get(other).cwd, maxDir)
	assert.Len(t, s.pending, maxPending)
	assert.Len(t, s.user, maxName)
	assert.LessOrEqual(t, p.MemoryUsed(c), 128<<10)
	conn.StateRemove(c)
	require.Len(t, o.Rows, maxPending-1)
	assert.Len(t, o.Rows[0].(*Row).Arg, maxText)
	assert.Len(t, o.Rows[0].(*Row).ReplyMsg, maxText)
	assert.Equal(t, "<hidden>", o.Rows[0].(*Row).Password)
}

func TestFreeMemory(t *testing.T) {
	turns := after(login, Orig("CWD d\r\nDELE a\r\nRETR b\r\nNOOP\r\n"), Resp("250 ok\r\n250 gone\r\n150 go\r\n226 done\r\n"),
		Orig("DELE c\r\n"), Resp("250 ok\r\n"), Orig("QUIT\r\n"))
	want := len(account.Check(t, turns, 3, func(int) bool { return false }))
	require.Equal(t, 3, want)
	for at := 1; ; at++ {
		n := 0
		rows := account.Check(t, turns, 3, func(i int) bool { n = i; return i == at })
		if at > n {
			break
		}
		require.Len(t, rows, want, "%d", at)
	}
	require.Len(t, account.Check(t, turns, 3, func(int) bool { return true }), want)
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, Orig("DELE "+strings.Repeat("x", 4000)+"\r\n"))
	p.FreeMemory(c)
	assert.Len(t, o.Rows, 1)
	assert.Less(t, p.MemoryUsed(c), 1000)
	assert.False(t, conn.Registered(c, finalize))

	New(nil).FreeMemory(Conn()) // of a connection that it does not know
	assert.Zero(t, New(nil).MemoryUsed(Conn()))
}

func TestWeirds(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"nothing":                {after(login, Orig("SYST\r\n")), nil},
		"a line of no command":   {after(login, Orig("AB\r\n")), []string{"FTP_invalid_command"}},
		"all visible bytes":      {after(login, Orig("!OO~\r\n")), nil},
		"an empty line":          {after(login, Orig("\r\n  \r\n")), nil},
		"a byte of no command":   {after(login, Orig("AB\xc4\r\n")), []string{"FTP_invalid_command"}},
		"a long command":         {after(login, Orig(strings.Repeat("X", maxVerb+1)+"\r\n")), []string{"FTP_max_command_length_exceeded 101 > 100"}},
		"not too long":           {after(login, Orig(strings.Repeat("X", maxVerb)+"\r\n")), nil},
		"many commands":          {after(login, Orig(strings.Repeat("NOOP\r\n", maxPending+1))), []string{"FTP_too_many_pending_commands 20"}},
		"not too many":           {after(login, Orig(strings.Repeat("NOOP\r\n", maxPending-1))), nil},
		"a long user":            {after(login, Orig("USER "+long[:maxName+1]+"\r\n")), []string{"FTP_user_too_long 129"}},
		"a long password":        {after(login, Orig("PASS "+long[:maxName+1]+"\r\n")), []string{"FTP_password_too_long 129"}},
		"not too long a name":    {after(login, Orig("USER "+long[:maxName]+"\r\nPASS "+long[:maxName]+"\r\n")), nil},
		"a long argument":        {[]Turn{Orig("ACCT " + long + "\r\n")}, []string{"FTP_arg_too_long 5000"}},
		"a long path":            {[]Turn{Orig("DELE " + long + "\r\n")}, []string{"FTP_arg_too_long 5021"}},
		"not too long a path":    {[]Turn{Orig("DELE " + long[:maxText-21] + "\r\n")}, nil},
		"a path one byte longer": {[]Turn{Orig("DELE " + long[:maxText-20] + "\r\n")}, []string{"FTP_arg_too_long 4097"}},
		"a long directory":       {after(login, Orig("CWD /"+long[:maxDir]+"\r\n"), Resp("250 ok\r\n")), []string{"FTP_directory_too_long 257"}},
		"not too long a one":     {after(login, Orig("CWD /"+long[:maxDir-1]+"\r\n"), Resp("250 ok\r\n")), nil},
		"a long reply":           {after(login, Orig("ACCT x\r\n"), Resp("230 "+long+"\r\n")), []string{"FTP_reply_msg_too_long 5000"}},
		"not too long a reply":   {after(login, Orig("ACCT x\r\n"), Resp("230 "+long[:maxText]+"\r\n")), nil},
		"a reply one byte longer": {
			after(login, Orig("ACCT x\r\n"), Resp("230 "+long[:maxText+1]+"\r\n")), []string{"FTP_reply_msg_too_long 4097"},
		},
		"half a command":        {after(login, Turn{FromOrig: true, Data: "QUI", End: true}), []string{"partial_ftp_request"}},
		"half a reply":          {after(login, Turn{Data: "22", End: true}), nil},
		"a carriage return":     {after(login, Orig("NO\rOP\r\n")), []string{"line_terminated_with_single_CR", "FTP_invalid_command"}},
		"a zero byte":           {after(login, Orig("NOOP \x00\r\n")), []string{"NUL_in_line"}},
		"half a line and a gap": {after(login, Turn{FromOrig: true, Data: "QUI", Lost: 9}, Ends()[0]), nil},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, tt.turns...)
			conn.StateRemove(c)
			var got []string
			for _, name := range o.Weirds {
				got = append(got, strings.TrimSpace(name+" "+o.Addl[name]))
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestFindPath(t *testing.T) {
	for text, want := range map[string]string{
		`"/a b" is it`: "/a b",
		`"x" or "/a"`:  "/a",
		`"x" /b "/a`:   "/b",
		`in /a b`:      "/a",
		`in /a"b`:      "/a",
		`C:\\a\\b c`:   `C:\\a\\b`,
		`"d:/a b"`:     "d:/a b",
		`1:/x`:         "/x",
		"nothing":      "",
		"":             "",
		`"`:            "",
		`@:/x`:         "/x",
		`z:`:           "",
	} {
		t.Run(text, func(t *testing.T) {
			assert.Equal(t, want, findPath(text))
		})
	}
}

func TestParsePort(t *testing.T) {
	for text, want := range map[string]string{
		"1,2,3,4,5,6":                          "1.2.3.4:1286",
		"(1,2,3,4,5,6)":                        "1.2.3.4:1286",
		"9 1,2,3,4,5,6,7":                      "1.2.3.4:1286",
		"1,2,3 1,2,3,4,5,6":                    "1.2.3.4:1286",
		"1,2,3,,1,2,3,4,5,6":                   "1.2.3.4:1286",
		"1,2,3,4,5":                            "",
		"1,2,3,4,5,":                           "",
		"255,255,255,255,255,255":              "255.255.255.255:65535",
		"255,255,255,255,255,256":              "",
		"1,2,3,4,5,99999999999999999999999999": "",
		"":                                     "",
		",":                                    "",
	} {
		t.Run(text, func(t *testing.T) {
			addr, ok := parsePort([]byte(text))
			assert.Equal(t, want != "", ok)
			if ok {
				assert.Equal(t, want, addr.String())
			}
		})
	}
}

func TestMatchReplies(t *testing.T) {
	l := newLog(Start)
	long := strings.Repeat("x", 100)
	for _, cmd := range []*command{{verb: "CWD", arg: "a"}, {verb: "DELE", arg: "bb"}, {verb: "DELE", arg: long}} {
		l.add(cmd)
	}
	for reply, want := range map[string]int{
		"220 hi": 0, "250 ok": 1, "250 DELE ok": 2, "250 bb gone": 2, "500 what": 0, "500 DELE": 2, "999 x": 0, "999 bb": 0,
		"250 " + long[:maxNamed]: 1, "250 " + long: 3, "250 " + long[:maxNamed] + strings.Repeat("y", 40): 3,
	} {
		t.Run(reply, func(t *testing.T) {
			code, _ := strconv.Atoi(reply[:3])
			assert.Same(t, l.pending[want], l.match(code, reply[4:]))
		})
	}
	assert.Equal(t, "<unknown>", (&log{}).match(250, "").verb)
}

// A checksum of the codes, so that none changes unnoticed.
func TestReplyCodes(t *testing.T) {
	sum := fnv.New64a()
	fmt.Fprintln(sum, replies) // a map is printed in order
	assert.Equal(t, uint64(0x95cbbfc3298cccda), sum.Sum64())
	assert.Equal(t, []uint16{21, 2811}, New(nil).Ports())
}

// MemoryUsed counts the connection's own texts.
func TestHeldCountsTexts(t *testing.T) {
	held := func(turns ...Turn) int {
		c := Conn()
		p := New(&Recorder{})
		Play(t, p, c, append([]Turn{Resp("220 hi\r\n")}, turns...)...)
		return p.MemoryUsed(c)
	}
	long := strings.Repeat("x", 100)
	for _, format := range []string{"USER %s\r\n", "PASS %s\r\n", "CWD /%s\r\n"} {
		t.Run(format, func(t *testing.T) {
			short, long := fmt.Sprintf(format, "x"), fmt.Sprintf(format, long)
			// The text itself, and the command's argument, which counts as that of the current command too.
			assert.Equal(t, 3*99, held(Orig(long), Resp("250 ok\r\n"))-held(Orig(short), Resp("250 ok\r\n")))
		})
	}
	assert.Equal(t, 99, held(Resp("250-"+long+"\r\n"))-held(Resp("250-x\r\n")))
	assert.Equal(t, 97, held(Orig(long+"\r\n"))-held(Orig("xxx\r\n")), "a command")
	one, two := held(Orig("ACCT x\r\n")), held(Orig("ACCT x\r\nACCT x\r\n"))
	assert.Greater(t, two-one, int(unsafe.Sizeof(command{})))
}

func TestLastNumber(t *testing.T) {
	for text, want := range map[string]int64{"1 22": 22, "a (77 bytes)": 77, "": -1, "x": -1, "9": 9, "0:": 0, "99999999999999999999": -1} {
		t.Run(text, func(t *testing.T) {
			n, ok := lastNumber([]byte(text))
			assert.Equal(t, want >= 0, ok)
			if ok {
				assert.Equal(t, want, n)
			}
		})
	}
}

var account = linestest.Account{
	New: parser, State: func(c *conn.Connection) any { return session.Get(c) }, Retained: 4<<10 + maxChannels*(channelSize+100), PerByte: 400,
}

func FuzzParser(f *testing.F) {
	f.Add(Encode(after(login, Orig("PORT 192,0,2,1,4,31\r\nRETR f\r\n"), Resp("200 ok\r\n150 go (7)\r\n226 done\r\n"), Ends()[0])...), uint8(3))
	f.Add(Encode(after(login, Orig("EPSV\r\n"), Resp("229 ok (|||1055|)\r\n"), Orig("EPRT |2|::1|9|\r\nPASV\r\n"), Resp("227 (1,2,3,4,5,6)\r\n"))...), uint8(3))
	f.Add(Encode(Resp("220-hi\r\n226 Transfer complete.\r\n"), Orig("AUTH TLS\r\n"), Resp("220 x\r\n234 go\r\n"), Orig("\x16\x03")), uint8(3))
	f.Add(Encode(after(login, Orig("CWD d\r\nCDUP\r\nPWD\r\n"), Resp("250 ok\r\n200 ok\r\n257 \"/x\"\r\n"), Orig("\xff\xf4ABOR\r\nDELE ../y\r\n"))...), uint8(3))
	f.Fuzz(func(t *testing.T, input []byte, flush uint8) {
		turns := Decode(input)
		FuzzRows(t, parser, turns...)
		account.CheckAllocations(t, turns, 1+int(flush))
		rows := account.Check(t, turns, 3, func(int) bool { return false })
		account.Check(t, turns, 3, func(n int) bool { return n == int(flush) })
		flushed := account.Check(t, turns, 3, func(n int) bool { return n%(1+int(flush)) == 0 })
		require.GreaterOrEqual(t, len(flushed), len(rows), "rows with FreeMemory in between")

		// Data connections begin for all announcements, and are removed before and after the
		// control connection.
		o, c := &Recorder{}, Conn()
		Play(t, New(o), c, turns...)
		var data []*conn.Connection
		for i, e := range o.Expected {
			require.True(t, e.Resp.Addr().IsValid())
			d := Conn()
			e.Attach(d)
			data = append(data, d)
			if i%2 == 0 {
				require.True(t, conn.StateRemove(d))
			}
		}
		require.True(t, conn.StateRemove(c))
		for _, d := range data {
			require.True(t, conn.StateRemove(d))
		}
		if s := session.Get(c); s != nil {
			for _, ch := range s.channels {
				require.False(t, ch.open)
			}
			require.LessOrEqual(t, len(s.channels), maxChannels)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	var session []Turn
	for range 20 {
		session = append(session, Orig("CWD pub\r\n"), Resp("250 ok\r\n"), Orig("PASV\r\n"), Resp("227 Entering Passive Mode (1,2,3,4,5,6).\r\n"),
			Orig("RETR file\r\n"), Resp("150 Opening (77 bytes)\r\n226 done\r\n"))
	}
	long := strings.Repeat("x", 4000)
	for _, bm := range []struct {
		name  string
		turns []Turn
	}{
		{"friendly=session", after(login, session...)},
		{"hostile=commands", []Turn{Orig(strings.Repeat("ACCT\n", 50000))}},
		{"hostile=lines", []Turn{Resp("220-\n" + strings.Repeat("x\n", 100000))}},
		{"hostile=replies", []Turn{Orig(strings.Repeat("DELE x\n", 20)), Resp(strings.Repeat("999\n", 50000))}},
		{"hostile=matching", []Turn{Orig(strings.Repeat("DELE "+long[:60]+"y\n", 20)), Resp(strings.Repeat("220-"+long+"\n220 \n", 100))}},
		{"hostile=paths", []Turn{Orig("PWD\n"), Resp("220 x\n" + strings.Repeat("257 "+strings.Repeat("\"", 4000)+"\n", 100))}},
		{"hostile=ports", []Turn{Orig("PASV\n"), Resp("220 x\n" + strings.Repeat("227 "+strings.Repeat("1,2,3,4,5.", 400)+"\n", 100))}},
		{"hostile=telnet", []Turn{Orig(strings.Repeat("NOOP "+strings.Repeat("\xff\xf4", 2000)+"\n", 100))}},
	} {
		b.Run(bm.name, func(b *testing.B) { account.Bench(b, bm.turns...) })
	}
}

func TestUnmatchedReplyAllocatesNothing(t *testing.T) {
	var l log
	assert.Zero(t, testing.AllocsPerRun(10, func() { l.match(220, "x") }))
	assert.Equal(t, &command{verb: "<unknown>"}, l.match(257, `"/a"`))
}

func TestLapsedAnnouncementsAreDroppedOncePerPacket(t *testing.T) {
	c, p := Conn(), New(&Recorder{})
	s := p.begin(c, protocol.Packet{Time: time.Unix(1000, 0)})
	expect := func() { s.expect(c, c.ID.Resp.Addr(), c.ID.Orig, false) }
	expect()
	s.now = s.now.Add(lapse)
	expect()
	assert.Len(t, s.channels, 2, "the first has not lapsed")
	s.channels[0].announced = s.now.Add(-lapse - 1)
	expect()
	assert.Len(t, s.channels, 3, "the packet has removed lapsed ones before")
	s.now = s.now.Add(1)
	expect()
	assert.Len(t, s.channels, 3)
	assert.Equal(t, s.now, s.channels[2].announced)
}
