package flow

import "net/netip"

// PrivateNetworks is the default of Config.Local: Zeek's Site::private_address_space, the networks
// that are not routed on the Internet, also in their 6to4 form.
var PrivateNetworks = privateNetworks()

func privateNetworks() (ps []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/24", "239.0.0.0/8",
		"240.0.0.0/4", "::/128", "::1/128", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "fc00::/7",
		"fe80::/10", "fec0::/10",
	} {
		p := netip.MustParsePrefix(text)
		ps = append(ps, p)
		if a := p.Addr(); a.Is4() {
			b := [16]byte{0x20, 0x02}
			copy(b[2:], a.AsSlice())
			ps = append(ps, netip.PrefixFrom(netip.AddrFrom16(b), 16+p.Bits()))
		}
	}
	return ps
}

// networks holds the local networks by address family.
type networks struct{ v4, v6 []netip.Prefix }

func newNetworks(ps []netip.Prefix) (n networks) {
	for _, p := range ps {
		if p.Addr().Is4() {
			n.v4 = append(n.v4, p)
		} else {
			n.v6 = append(n.v6, p)
		}
	}
	return n
}

// contain reports whether a is in one of the networks.
func (n *networks) contain(a netip.Addr) bool {
	ps := n.v6
	if a.Is4() {
		ps = n.v4
	}
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
