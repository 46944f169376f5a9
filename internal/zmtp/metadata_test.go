package zmtp_test

import (
	"bytes"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/heraldbus/herald/internal/zmtp"
)

var socketTypes = []zmq4.SocketType{
	zmq4.Pair, zmq4.Pub, zmq4.Sub, zmq4.Req, zmq4.Rep, zmq4.Dealer,
	zmq4.Router, zmq4.Pull, zmq4.Push, zmq4.XPub, zmq4.XSub,
}

func TestCompatible(t *testing.T) {
	for _, a := range socketTypes {
		fits := 0
		for _, b := range socketTypes {
			got := zmtp.Compatible(a, b)
			if got != a.IsCompatible(b) || got != zmtp.Compatible(b, a) {
				t.Errorf("Compatible(%s, %s) = %v", a, b, got)
			}
			if got {
				fits++
			}
		}
		if fits == 0 {
			t.Errorf("%s fits nothing", a)
		}
		for _, b := range []zmq4.SocketType{"", "DISH", "pub"} {
			if zmtp.Compatible(a, b) || zmtp.Compatible(b, a) {
				t.Errorf("%s fits %q", a, b)
			}
		}
	}
}

func TestMetadataBounds(t *testing.T) {
	body := socketType("SUB") + property("X-A", "1", -1) + property("X-B", "", -1)
	for limit, ok := range map[int]bool{2: false, 3: true} {
		g := zmtp.NewGuard(nil, zmtp.GuardConfig{Mechanism: zmq4.NullSecurity, Socket: zmq4.Pub, MaxProperties: limit})
		if err := g.Metadata([]byte(body)); (err == nil) != ok {
			t.Errorf("3 properties where %d are allowed: %v", limit, err)
		}
	}
}

// FuzzReady holds metadata that the guard accepts against zmq4's own reading of
// it: zmq4 must not panic or fail, and must see the same peer.
func FuzzReady(f *testing.F) {
	for _, s := range []string{
		socketType("SUB"),
		property("SOCKET-type", "XSUB", -1) + property("identity", "me", -1),
		socketType("SUB") + property("X-Site", "north", -1) + property("Resource", "a/b", -1),
		"\x01", "\x00", "", socketType("DISH"), property("X", "a", 2), "\x01X\xff\xff\xff\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		g := zmtp.NewGuard(nil, zmtp.GuardConfig{Mechanism: zmq4.NullSecurity, Socket: zmq4.Pub})
		if err := g.Metadata(body); err != nil {
			return
		}
		if !bytes.EqualFold(before, body) {
			t.Fatalf("%q became %q", before, body)
		}
		peer := g.Peer()
		if !zmtp.Compatible(zmq4.Pub, peer.Socket) || len(peer.Identity) > zmtp.MaxIdentity || len(peer.Properties) > zmtp.DefaultProperties {
			t.Fatalf("%q: %+v", body, peer)
		}
		md := zmq4.Metadata{}
		if err := md.UnmarshalZMTP(body); err != nil {
			t.Fatalf("%q: zmq4 says %v", body, err)
		}
		if md["Socket-Type"] != string(peer.Socket) || md["Identity"] != peer.Identity {
			t.Fatalf("%q: zmq4 reads %v, the guard %+v", body, md, peer)
		}
	})
}
