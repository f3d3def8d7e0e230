package ftp

import (
	"slices"
	"strings"
)

// maxNamed is how many bytes of an argument are searched for in a reply. Up to this length package
// strings uses vector instructions on all processors, so a long reply to many commands stays cheap.
const maxNamed = 63

// none is the command of a reply that answers none. It must not be changed.
var none = &command{verb: "<unknown>"}

// match returns the pending command that a reply most likely answers: one that may have such a
// reply, or that the text mentions. Among equals, it is the oldest.
func (l *log) match(code int, text string) *command {
	best, most := none, -1
	for _, cmd := range l.pending {
		score := 0
		if code == 500 || slices.Contains(replies[cmd.verb], code) {
			score += 100
		}
		// Search the text only where it may make a difference.
		if score+30 > most {
			if strings.Contains(text, cmd.verb) {
				score += 20
			}
			if len(cmd.arg) <= len(text) && strings.Contains(text, cmd.arg[:min(len(cmd.arg), maxNamed)]) {
				score += 10
			}
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

// replies maps a command to the codes of its replies, besides 500: RFC 959, and RFC 2228 to 3659.
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
