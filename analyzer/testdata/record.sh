#!/bin/bash
# record.sh [FILE] records the demo capture (default: demo.pcap beside this script).
#
# Real servers run in one network namespace, real clients in another; a veth pair joins them, and tcpdump listens at
# the client's end. Every address, name, key and certificate is made for the recording.
#
# It must run as root on Linux, and installs nothing. The programs come from these Debian packages:
#   apt-get install --no-install-recommends bind9-dnsutils curl dnsmasq-base ethtool iproute2 iputils-ping \
#     netcat-openbsd nftables nginx-light openssh-client openssh-server openssl python3-aiosmtpd python3-websockets \
#     swaks tcpdump tinyproxy-bin tnftp vsftpd
# Debian starts some of these servers when they are installed, which the recording does not need.
#
# Nothing outlives the script: it runs in its own mount, process, host name and network namespaces, so its files, servers and
# interfaces disappear with it. It takes half a minute, and is killed after three.
set -eu
trap 'echo "record.sh: line $LINENO failed" >&2' ERR

if [ -z "${INSIDE-}" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "record.sh: must run as root" >&2
		exit 1
	fi
	for program in aiosmtpd curl dig dnsmasq ethtool hostname ip nc nft nginx openssl ping ssh sshd swaks tcpdump \
		tinyproxy tnftp vsftpd; do
		PATH=/usr/sbin:/usr/bin:/sbin:/bin type "$program" >/dev/null 2>&1 || missing="${missing-} $program"
	done
	/usr/bin/python3 -c 'import websockets' 2>/dev/null || missing="${missing-} websockets"
	if [ -n "${missing-}" ]; then
		echo "record.sh: not found:$missing (the head of this script lists the Debian packages)" >&2
		exit 1
	fi
	out=$(realpath "${1:-$(dirname "$0")/demo.pcap}")
	# An empty environment keeps this machine's proxy, agent, locale and name from the programs.
	env -i INSIDE=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC HOME=/mnt MACHINE="$(uname -n)" \
		unshare --mount --net --uts --pid --fork --kill-child --mount-proc bash "$(realpath "$0")" "$out" &
	lab=$!
	trap 'kill -KILL $lab 2>/dev/null || true' EXIT # and everything it started
	trap 'exit 1' INT TERM
	for ((second = 0; second < 180; second++)); do
		kill -0 $lab 2>/dev/null || { wait $lab && exit 0 || exit 1; }
		sleep 1
	done
	echo "record.sh: not done after three minutes" >&2
	exit 1
fi

# ---------------------------------------------------------------------------------------------------------------- lab

client=10.99.0.10 client6=fd00:99::10
server=10.99.0.20 server6=fd00:99::20
other=10.99.0.22  # HTTP on port 22; receives DNS queries and never answers
closed=10.99.0.23 # no server listens here
silent=10.99.0.30 # every packet to it is dropped

mount -t tmpfs lab /mnt # the work folder
mount -t tmpfs run /run # where ip, sshd and others keep runtime files
cd /mnt
mkdir /run/netns /run/sshd /run/vsftpd

hostname client.example
printf '127.0.0.1 localhost\n%s client.example\n%s server.example\n' $client $server >hosts
printf 'nameserver %s\n' $server >resolv.conf
for file in hosts resolv.conf; do
	target=$(readlink -m /etc/$file) # often a link to a file in /run, which is empty now
	[ -e "$target" ] || { mkdir -p "${target%/*}" && : >"$target"; }
	mount --bind $file "$target"
done

on_server() { # runs a command in the server's namespaces
	ip netns exec server unshare --uts bash -c 'hostname server.example; exec "$@"' bash "$@"
}

ip netns add server
ip link add client0 address 02:00:00:00:00:10 type veth peer name server0 address 02:00:00:00:00:20 netns server
set_up() { # INTERFACE ADDRESS...
	echo 0 >"/proc/sys/net/ipv6/conf/$1/accept_ra"
	ip link set lo up
	ip link set "$1" addrgenmode none # no link-local address, so no router solicitations
	ip link set "$1" up
	# With offloading, the kernel hands over packets without checksums, some larger than the MTU.
	ethtool -K "$1" tx off rx off tso off gso off gro off >/dev/null
	local interface=$1 address
	shift
	for address; do
		case $address in
		*:*) ip address add "$address/64" dev "$interface" nodad ;;
		*) ip address add "$address/24" dev "$interface" ;;
		esac
	done
}
export -f set_up
set_up client0 $client $client6
on_server bash -c 'set_up "$@"' bash server0 $server $other $closed $silent $server6

on_server nft -f - <<END
table inet lab {
	chain in {
		type filter hook input priority 0
		ip daddr $silent drop
	}
}
END
# The answer to a SYN to port 7010 reaches the wire, but never the client.
nft -f - <<END
table inet lab {
	chain in {
		type filter hook input priority 0
		tcp sport 7010 drop
	}
}
END

# ------------------------------------------------------------------------------------------------------------ servers

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout key.pem -out cert.pem \
	-subj /CN=www.example.com -addext 'subjectAltName=DNS:*.example.com,DNS:server.example' 2>/dev/null

dns_server() {
	local texts=() i
	for i in 1 2 3 4 5 6 7 8 9; do # together too long for an ordinary datagram
		texts+=(--txt-record="big.example.com,$i$(printf '%0199d' 0)")
	done
	on_server dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts \
		--bind-interfaces --except-interface=lo --listen-address=$server,$server6 --edns-packet-max=4096 \
		--local=/example.com/ --local=/99.10.in-addr.arpa/ \
		--host-record=www.example.com,$server,$server6 \
		--host-record=v4.example.com,$server --host-record=other.example.com,$other \
		--host-record=mail.example.com,$server --host-record=ftp.example.com,$server,$server6 \
		--cname=web.example.com,v4.example.com --mx-host=example.com,mail.example.com,10 \
		--txt-record=example.com,'v=spf1 mx -all' --srv-host=_ssh._tcp.example.com,www.example.com,22 "${texts[@]}"
}

mkdir www
yes 'The quick brown fox jumps over the lazy dog.' | head -n 40 >www/index.html
yes 'Pack my box with five dozen liquor jugs.' | head -n 600 >www/large.txt
seq -f 'line %g of the upload' 150 >upload.txt
touch -d 2024-01-01 www/*
cat >nginx.conf <<END
user root;
daemon off;
pid nginx.pid;
error_log nginx.log;
events {}
http {
	access_log off;
	default_type text/plain;
	gzip on;
	gzip_types text/plain;
	root /mnt/www;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_certificate cert.pem;
	ssl_certificate_key key.pem;
	server {
		listen $server:80;
		listen $server:8080;
		listen $other:22;
		listen [$server6]:80;
		listen $server:443 ssl http2;
		listen [$server6]:443 ssl http2;
		server_name www.example.com;
		location = /form { return 201 "received\n"; }
		location = /old { return 301 /index.html; }
		location = /private { return 401; }
		location = /slow { proxy_pass http://127.0.0.1:7009; }
		location = /chat {
			proxy_pass http://127.0.0.1:7011;
			proxy_http_version 1.1;
			proxy_set_header Upgrade \$http_upgrade;
			proxy_set_header Connection upgrade;
		}
	}
	server {
		listen $server:443 default_server;
		ssl_reject_handshake on;
	}
}
END
printf '%s\n' 'Port 3128' "Listen $server" 'Allow 10.99.0.0/24' 'ConnectPort 443' 'ViaProxyName "proxy"' >proxy.conf

mkdir -p ftp/incoming
printf 'hello from the FTP server\n' >ftp/hello.txt
cp www/index.html ftp/notes.txt
touch -d 2024-01-01 ftp/*.txt
chown ftp ftp/incoming
cat >vsftpd.conf <<END
background=NO
listen_ipv6=YES
anonymous_enable=YES
anon_root=/mnt/ftp
anon_upload_enable=YES
write_enable=YES
connect_from_port_20=YES
hide_ids=YES
secure_chroot_dir=/run/vsftpd
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
END

ssh-keygen -q -t ed25519 -N '' -C '' -f host_key
ssh-keygen -q -t ed25519 -N '' -C '' -f user_key
ssh-keygen -q -t ed25519 -N '' -C '' -f wrong_key
cat >sshd.conf <<END
ListenAddress $server:22
ListenAddress $server:2222
ListenAddress [$server6]:22
HostKey /mnt/host_key
AuthorizedKeysFile /mnt/user_key.pub
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
END

# No packaged server does these: echo, reset the connection, never answer, speak WebSocket.
cat >extras.py <<END
import asyncio, socket, struct, websockets

async def echo(r, w):
    while data := await r.read(4096):
        w.write(data)
    w.close()

async def reset(r, w):
    await r.read(4096)
    w.write(b"no\r\n")
    await w.drain()
    sock = w.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    w.transport.abort()

async def mute(r, w):
    await asyncio.sleep(300)

async def chat(ws):
    async for message in ws:
        await ws.send(message.upper())

class Echo(asyncio.DatagramProtocol):
    def connection_made(self, t): self.t = t
    def datagram_received(self, data, peer): self.t.sendto(data, peer)

async def main():
    for handler, address, port in [(echo, "$server", 7007), (reset, "$server", 7008), (mute, "$server", 7009),
                                   (mute, "127.0.0.1", 7009), (mute, "$server", 7010)]:
        await asyncio.start_server(handler, address, port)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Echo, ("$server", 7007))
    await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("$other", 53))
    await websockets.serve(chat, "127.0.0.1", 7011)
    await asyncio.sleep(300)

asyncio.run(main())
END

{
	dns_server &
	on_server nginx -p /mnt -c nginx.conf &
	on_server tinyproxy -d -c proxy.conf &
	on_server vsftpd /mnt/vsftpd.conf &
	on_server /usr/sbin/sshd -D -e -f sshd.conf &
	on_server aiosmtpd -n -s 3000 -c aiosmtpd.handlers.Sink -l $server:25 \
		--tlscert cert.pem --tlskey key.pem --no-requiretls &
	on_server aiosmtpd -n -c aiosmtpd.handlers.Sink -l $server:2525 &
	on_server openssl s_server -accept $server:4433 -cert cert.pem -key key.pem -alpn imap -groups P-256 \
		-www -quiet &
	on_server /usr/bin/python3 extras.py &
} >servers.log 2>&1 </dev/null
sleep 3

# A connection that is older than the capture.
exec 9<>/dev/tcp/$server/80

# Multicast listener reports are the only noise left: they carry a hop-by-hop header.
tcpdump -Z root -U -i client0 -w capture.pcap 'not (ip6 and ip6[6] == 0)' 2>tcpdump.log &
tcpdump=$!
sleep 1

# ------------------------------------------------------------------------------------------------------------ clients

say() { echo "record.sh: $*" >&2; }
get() { curl -q -s "$@" >/dev/null || true; } # some transfers are meant to fail
ask() { dig +tries=1 +timeout=2 "$@" >/dev/null || true; }
raw() { nc -N -w 2 "$@" >/dev/null || true; } # sends standard input, then half-closes
lines() { # sends lines half a second apart, so that a server answers each before the next
	local line
	for line; do
		printf '%s\r\n' "$line"
		sleep 0.5
	done
}
tls() { # HOST:PORT OPTIONS
	openssl s_client -connect "$@" </dev/null >/dev/null 2>&1 || true
}
login() { # KEY OPTIONS
	ssh -F none -i "$@" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR \
		-o UserKnownHostsFile=/dev/null echo hello >/dev/null 2>&1 || true
}
mail() { # OPTIONS; the mail is on standard input
	curl -q -s --mail-from alice@example.com --mail-rcpt bob@example.com --crlf -T - "$@" >/dev/null || true
}
letter() { # SUBJECT
	printf 'From: alice@example.com\nTo: bob@example.com\nSubject: %s\n\nSee you at noon.\n' "$1"
}

say 'attempts that time out, beside all the rest'
(nc -z -w 4 $silent 80 || true) &                        # SYNs without an answer
(nc -z -w 4 $server 7010 || true) &                      # a SYN ACK that nobody acknowledges
(nc -z -w 1 $silent 9000-9005 2>/dev/null || true) &     # a scan of an address that drops everything
(printf 'GET /never HTTP/1.1\r\nHost: www.example.com\r\n\r\n' | raw $server 7009) & # a request and a half-close
(timeout 3 openssl s_client -connect $server:7009 -servername lost.example.com </dev/null >/dev/null 2>&1 ||
	true) & # a ClientHello alone

say DNS
printf 'GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n' >&9
cat <&9 >/dev/null
exec 9>&-
ask www.example.com A
ask www.example.com AAAA
ask example.com MX
ask example.com TXT
ask _ssh._tcp.example.com SRV
ask web.example.com A
ask v4.example.com AAAA # the name exists, the record does not
ask nothere.example.com A
ask elsewhere.test A # refused
ask -x $server
ask @$server6 www.example.com AAAA
ask +bufsize=1232 big.example.com TXT           # truncated, then asked again over TCP
ask +bufsize=4096 +ignore big.example.com TXT   # an answer in fragments
ask +tcp +keepopen www.example.com A example.com MX nothere.example.com AAAA
ask +tcp @$server6 example.com TXT
ask @$other www.example.com A                   # no answer
ask @$other example.com MX
ask @$closed www.example.com A                  # port unreachable
ask -p 5300 www.example.com A
ask +tcp @$closed www.example.com A             # reset
ask +tcp @$silent www.example.com A &           # no answer to the SYN

say HTTP
get http://www.example.com/index.html http://www.example.com/missing http://www.example.com/old # keep-alive
get -4 -I http://www.example.com/index.html
get -4 --compressed http://www.example.com/large.txt # chunked
get -4 -d 'name=alice&age=30' http://www.example.com/form
get -4 -T upload.txt -H 'Expect: 100-continue' http://www.example.com/form
get -4 -X POST -H 'Transfer-Encoding: chunked' -d @upload.txt http://www.example.com/form
get -4 -r 0-99 http://www.example.com/large.txt
get -4 -z '1 Jan 2024 00:00:00 GMT' http://www.example.com/index.html # not modified
get -4 -u alice:secret http://www.example.com/private
get -4 -X DELETE http://www.example.com/index.html
get -4 -0 http://www.example.com/index.html
get -6 http://www.example.com/large.txt
get http://v4.example.com:8080/index.html
get http://other.example.com:22/index.html
get http://v4.example.com:8080/a http://v4.example.com:8080/b
# Pipelined, in one segment.
printf '%s /%s HTTP/1.1\r\nHost: v4.example.com\r\n\r\n' GET index.html HEAD large.txt GET missing >requests
raw $server 80 <requests
printf 'GET /index.html\r\n' | raw $server 80 # HTTP/0.9
printf 'this is not HTTP\r\n\r\n' | raw $server 80
get -4 -m 2 http://www.example.com/slow # never answered
get -4 -m 2 http://v4.example.com:8080/index.html http://v4.example.com:8080/slow
printf 'GET /index.html HTTP/1.1\r\nHost: v4.ex' | raw $server 80 # cut short
get -x http://$server:3128 http://v4.example.com/index.html
get -k -x http://$server:3128 https://www.example.com/index.html # CONNECT
get -x http://$server:3128 -p http://v4.example.com:25/          # CONNECT, refused
/usr/bin/python3 - <<END
import asyncio, websockets
async def main():
    async with websockets.connect("ws://v4.example.com/chat") as ws: # Upgrade
        await ws.send("hello")
        await ws.recv()
asyncio.run(main())
END

say TLS
get -k -4 --tls-max 1.2 https://www.example.com/index.html
get -k -4 https://www.example.com/index.html # 1.3, ALPN h2
get -k -6 --http1.1 https://www.example.com/index.html
get -4 --tls-max 1.2 https://www.example.com/ # the client does not trust the certificate
get -4 https://www.example.com/
get -k https://v4.example.com/ # the server does not know the name
tls $server:4433 -servername imap.example.com -alpn imap,pop3 -tls1_2 -reconnect # resumed by ticket
tls $server:4433 -servername imap.example.com -alpn imap -groups X25519:P-256    # HelloRetryRequest
for session in -sess_out -sess_in; do # 1.3, resumed, without a server name
	printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect $server:4433 -noservername -groups P-256 -ign_eof \
		$session session.pem >/dev/null 2>&1 || true
done
tls $server:4433 -tls1_1 -cipher DEFAULT@SECLEVEL=0 # refused
/usr/bin/python3 - <<END
import socket, ssl
out = ssl.MemoryBIO()
hello = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="cut.example.com")
try: hello.do_handshake()
except ssl.SSLWantReadError: pass
data = out.read()
s = socket.create_connection(("$server", 4433)); s.sendall(data[:100]); s.close() # half a ClientHello
s = socket.create_connection(("$server", 4433)); s.sendall(data); s.recv(10); s.close() # gone after the ServerHello
END

say SSH
login user_key root@$server
login user_key -p 2222 root@$server
login user_key -o Ciphers=aes128-ctr -o MACs=hmac-sha2-256 -o KexAlgorithms=ecdh-sha2-nistp256 root@$server6
login wrong_key root@$server
ssh-keyscan -t ed25519 $server >/dev/null 2>&1 || true
lines SSH-2.0-hello | raw $server 22 # only a version

say FTP
get ftp://$server/hello.txt                                  # EPSV
get --disable-epsv ftp://$server/                            # PASV
get --disable-epsv ftp://$server/hello.txt ftp://$server/notes.txt ftp://$server/missing.txt
get -P - --disable-eprt ftp://$server/hello.txt              # PORT
get -P - ftp://$server/                                      # EPRT
get -T upload.txt ftp://$server/incoming/                    # STOR
get -u alice:secret ftp://$server/hello.txt                  # refused
get -6 ftp://ftp.example.com/hello.txt                       # EPSV over IPv6
get -6 -P - ftp://ftp.example.com/notes.txt                  # EPRT over IPv6
tnftp -n -v ftp.example.com >/dev/null <<END || true
user anonymous guest@example.com
pwd
dir
get hello.txt
delete hello.txt
cd nowhere
passive off
get notes.txt
quit
END
lines 'USER anonymous' 'PASS guest@example.com' PASV QUIT | raw $server 21 # nobody uses the announced port
lines 'USER anonymous' 'PASS guest@example.com' 'RETR hello.txt' | raw $server 21

say SMTP
swaks --server mail.example.com --ehlo client.example --from alice@example.com --to bob@example.com,carol@example.com \
	--header 'Subject: minutes' --body 'See you at noon.' >/dev/null || true
swaks --server mail.example.com --port 2525 --helo client.example --protocol SMTP --from alice@example.com \
	--to bob@example.com --body @upload.txt >/dev/null || true
letter 'over TLS' | mail --ssl-reqd -k smtp://mail.example.com/client.example
letter 'not trusted' | mail --ssl-reqd smtp://mail.example.com/client.example
cat upload.txt upload.txt | mail smtp://mail.example.com/client.example # larger than the server takes
lines 'HELO client.example' 'MAIL FROM:<alice@example.com>' 'RCPT TO:<bob@example.com>' RSET \
	'MAIL FROM:<carol@example.com>' 'RCPT carol@example.com' VRFY QUIT | raw $server 25
lines 'EHLO client.example' 'MAIL FROM:<alice@example.com>' 'RCPT TO:<bob@example.com>' DATA 'Subject: cut' |
	raw $server 25

say 'other endings, ICMP, a scan'
printf 'hello\n' | raw $server 7007
printf 'hello\n' | nc -u -w 1 $server 7007 >/dev/null || true
printf 'hello\n' | nc -u -w 1 $closed 7007 >/dev/null || true  # port unreachable
printf 'hello\n' | nc -u -w 1 $server6 7007 >/dev/null || true # port unreachable, IPv6
printf 'hello\n' | raw $server 7008                          # reset by the server
/usr/bin/python3 - <<END
import socket, struct
s = socket.create_connection(("$server", 7007)) # reset by the client
s.sendall(b"hello")
s.recv(10)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
END
nc -z $server 7007
nc -z -w 1 $closed 80 || true  # closed
nc -z -w 1 $server6 81 || true # closed, IPv6
ping -q -c 3 -i 0.3 $server >/dev/null
ping -q -c 1 -s 2500 $server >/dev/null # in fragments
ping -q -c 2 -i 0.3 $server6 >/dev/null
ping -q -c 2 -i 0.3 -W 1 $silent >/dev/null || true
nc -z -w 1 $server 8070-8089 2>/dev/null || true # twenty ports, one of them open

# A connection that is still open when the capture ends, with an unanswered request.
exec 8<>/dev/tcp/$server/7009
printf 'GET /open HTTP/1.1\r\nHost: www.example.com\r\n\r\n' >&8
sleep 3

kill -INT $tcpdump
wait $tcpdump || true
# A shorter name might occur by chance.
if [ ${#MACHINE} -gt 3 ] && grep -a -q -i -F -e "$MACHINE" capture.pcap; then
	say "this machine's name, $MACHINE, is in the capture; not kept"
	exit 1
fi
cp capture.pcap "$1"
say "$1: $(stat -c %s "$1") bytes"
grep -h 'packets' tcpdump.log >&2
