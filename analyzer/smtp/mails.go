package smtp

import (
	"net/netip"
	"slices"
	"unsafe"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

// maxMails is how many mails may await their replies while the client sends another. A client that
// sends more does not wait for the server: the oldest mail is then logged without its reply.
const maxMails = 50

// mails are the mails of a connection that are not logged yet. A client that pipelines is ahead of
// the server: commands belong to the newest mail, replies to the mail whose command they answer.
// Between mails, the newest one is whatever precedes the next.
type mails struct {
	pending  []*mail // oldest first; at most maxMails and the newest
	helo     string  // of all mails to come
	messages int     // transferred

	sender, recipient bool // MAIL was seen; RCPT was seen after it
	invalid           int  // commands out of order

	transfer
}

// A mail is a mail, or the attempt to send one, and its row.
type mail struct {
	row    *Row
	texts  int                 // about the bytes that row refers to: less than maxRow and one line
	sets   map[member]struct{} // members of the lists of row
	listed map[byte]int        // bytes of each list
	first  int                 // number of commands before the first of this mail
	ended  bool                // the client has sent the last command of this mail
	active bool                // worth a row
	muted  bool                // the row was logged early: what follows is not logged
}

// A member is a text in one of the lists of a row.
type member struct {
	list byte
	addr string
}

// memberSize is how many bytes a member takes besides its text, in the list and in the map, with
// their spare room.
const memberSize = 2*int(unsafe.Sizeof("")) + 3*int(unsafe.Sizeof(member{}))

func (m *mail) held() int {
	const addr = int(unsafe.Sizeof(netip.Addr{}))
	return int(unsafe.Sizeof(*m)) + int(unsafe.Sizeof(*m.row)) + m.texts + cap(m.row.Path)*addr
}

func (s *mails) held() (n int) {
	for _, m := range s.pending { // few, unless the client is hostile
		n += m.held()
	}
	return n + cap(s.pending)*int(unsafe.Sizeof(&mail{})) + len(s.helo) + s.header.Held() + cap(s.partial)
}

// newMail returns a mail that begins after a number of commands.
func (s *state) newMail(c *conn.Connection, first int) *mail {
	depth := s.messages + 1
	for _, m := range s.pending {
		if m.ended {
			depth++
		}
	}
	return &mail{first: first, row: &Row{
		Header:     logs.NewHeader("smtp", c, s.now),
		TransDepth: depth,
		Helo:       s.helo,
		Path:       []netip.Addr{c.ID.Resp.Addr(), c.ID.Orig.Addr()},
	}}
}

// newest returns the mail that the client's commands belong to, which it creates if necessary.
func (s *state) newest(c *conn.Connection) *mail {
	if len(s.pending) == 0 {
		s.pending = append(s.pending, s.newMail(c, s.answered))
	}
	return s.pending[len(s.pending)-1]
}

// beginMail begins another mail with the latest command.
func (s *state) beginMail(c *conn.Connection) *mail {
	held := 0
	for _, m := range s.pending {
		held += m.texts
	}
	for len(s.pending) >= maxMails || held > maxRow {
		held -= s.pending[0].texts
		s.finish(c)
	}
	m := s.newMail(c, s.answered+len(s.waiting)-1)
	s.pending = append(s.pending, m)
	return m
}

// endMail notes that the client has sent the last command of a mail.
func (s *state) endMail(c *conn.Connection) {
	s.newest(c).ended = true
	s.sender, s.recipient = false, false
}

// answering returns the mail that the current reply belongs to, nil if it was logged early. The
// mails before it get no more replies.
func (s *state) answering(c *conn.Connection) *mail {
	if len(s.pending) == 0 {
		s.pending = append(s.pending, s.newMail(c, s.replyTo))
	}
	for len(s.pending) > 1 && s.pending[1].first <= s.replyTo {
		s.finish(c)
	}
	if m := s.pending[0]; m.first <= s.replyTo {
		return m
	}
	return nil
}

// activate makes the row of m worth logging.
func (s *state) activate(c *conn.Connection, m *mail) {
	if !m.muted {
		m.active = true
		conn.Register(c, finalize)
	}
}

// finish logs the oldest mail, if its row is worth it, and removes it.
func (s *state) finish(c *conn.Connection) {
	m := s.pending[0]
	s.pending = slices.Delete(s.pending, 0, 1)
	if m.ended {
		s.messages++
	}
	s.log(c, m)
}

// log logs the row of m, if it is worth it.
func (s *state) log(c *conn.Connection, m *mail) {
	if !m.active {
		return
	}
	m.active = false
	s.parser.owner.Log(m.row)
	if !slices.ContainsFunc(s.pending, func(m *mail) bool { return m.active }) {
		conn.Unregister(c, finalize)
	}
}

// flush logs the rows of all mails. The newest mail stays, and is muted if its row was logged. A
// row not worth logging starts over.
func (s *state) flush(c *conn.Connection) {
	for len(s.pending) > 1 {
		s.finish(c)
	}
	old := s.newest(c)
	if old.muted {
		return
	}
	active := old.active
	s.log(c, old)
	s.pending = nil
	m := s.newMail(c, old.first)
	m.ended, m.muted = old.ended, active
	s.pending = append(s.pending, m)
}
