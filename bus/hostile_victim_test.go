package bus_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

// The hostile tests send a publisher and a subscriber in a process of their own
// everything that a rogue can think of, while honest peers of both go on. So the
// process may be killed by what it gets, and its memory is its own.

const victimEnv = "HERALD_HOSTILE_VICTIM"

// account is what the victim has to say in the end.
type account struct {
	Published, Received int    // events of the victim's publisher to its honest subscriber
	Sent, Collected     int    // events of an honest publisher to the victim's subscriber
	Complaint           string // what an honest peer has missed
	Publisher           bus.PublisherStats
	Subscriber          bus.SubscriberStats
	Heap                uint64 // the most bytes of it in use
}

// TestHostileVictim is that process, and nothing when it is not.
func TestHostileVictim(t *testing.T) {
	if os.Getenv(victimEnv) == "" {
		t.Skip("it is started by the other tests")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	publisher := func(cfg bus.PublisherConfig) *bus.Publisher {
		p, err := bus.NewPublisher(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	subscriber := func(cfg bus.SubscriberConfig) *bus.Subscriber {
		s, err := bus.NewSubscriber(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	reconnect := bus.Reconnect{Min: time.Millisecond, Max: 5 * time.Millisecond}
	pub := publisher(bus.PublisherConfig{
		Name: "victim", Bind: []string{"tcp://127.0.0.1:0"},
		Limits: bus.Limits{Subscriptions: scaled(10_000), SubscriptionBytes: scaled(4 << 20)},
	})
	defer pub.Close()
	honestSub := subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(pub.Endpoints()[0])}})
	defer honestSub.Close()
	cfg := bus.SubscriberConfig{Bind: []string{"tcp://127.0.0.1:0"}, Reconnect: reconnect}
	if dial := os.Getenv(victimEnv); dial != "bind" {
		cfg.Sources = []bus.Source{bus.From(dial)}
	}
	sub := subscriber(cfg)
	defer sub.Close()
	honestPub := publisher(bus.PublisherConfig{Name: "honest", Connect: sub.Endpoints()})
	defer honestPub.Close()
	if err := errors.Join(honestPub.WaitSubscribers(ctx, "n", 1), honestSub.Ready(ctx)); err != nil {
		t.Fatal(err)
	}
	fmt.Println(pub.Endpoints()[0], sub.Endpoints()[0])

	var all account
	var complaints sync.Map
	count := func(s *bus.Subscriber, from bus.Incarnation, n *int) {
		for ev, err := range s.Events(ctx) {
			switch ev := ev.(type) {
			case *bus.Message:
				if ev.Incarnation != from {
					continue
				}
				if want := strconv.Itoa(*n); string(ev.Payload) != want {
					complaints.Store(fmt.Sprintf("got %q where %s is due", ev.Payload, want), true)
				}
				*n++
			case bus.Status:
				if o, _ := ev.About(); o.Incarnation == from && ev.Kind() != "ready" && ev.Kind() != "gone" {
					complaints.Store(ev.String(), true)
				}
			}
			if err != nil {
				complaints.Store(err.Error(), true)
			}
		}
	}
	var loops, sends sync.WaitGroup
	loops.Go(func() { count(honestSub, pub.Incarnation(), &all.Received) })
	loops.Go(func() { count(sub, honestPub.Incarnation(), &all.Collected) })
	stop := make(chan struct{})
	publish := func(p *bus.Publisher, n *int) {
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if err := p.Publish(ctx, "n", []byte(strconv.Itoa(*n))); err != nil {
				complaints.Store(err.Error(), true)
			}
			*n++
		}
	}
	sends.Go(func() { publish(pub, &all.Published) })
	sends.Go(func() { publish(honestPub, &all.Sent) })
	sends.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			all.Heap = max(all.Heap, m.HeapInuse)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	io.Copy(io.Discard, os.Stdin) // until the test has seen enough
	close(stop)
	sends.Wait()
	all.Publisher, all.Subscriber = pub.Stats(), sub.Stats()
	all.Publisher.Peers = nil
	drain, cancel2 := context.WithTimeout(ctx, patience)
	defer cancel2()
	// Everything is out when Drain returns, and in when the other side has seen the end.
	if err := errors.Join(pub.Drain(drain), honestPub.Drain(drain), honestSub.Drain(drain), sub.Drain(drain)); err != nil {
		t.Error(err)
	}
	loops.Wait()
	complaints.Range(func(c, _ any) bool {
		all.Complaint += c.(string) + "; "
		return len(all.Complaint) < 1000
	})
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		t.Fatal(err)
	}
}

// victim is the other process as this one sees it.
type victim struct {
	*testing.T
	cmd      *exec.Cmd
	stdin    io.Closer
	out      *bufio.Scanner
	log      bytes.Buffer
	pub, sub string // addresses
}

// startVictim starts it. Its subscriber dials the endpoint, or binds only.
func startVictim(t *testing.T, dial string) *victim {
	t.Helper()
	v := &victim{T: t, cmd: exec.Command(os.Args[0], "-test.run=^TestHostileVictim$")}
	v.cmd.Env = append(os.Environ(), victimEnv+"="+dial)
	v.cmd.Stderr = &v.log
	stdin, err := v.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.stdin, v.out = stdin, bufio.NewScanner(stdout)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v.cmd.ProcessState == nil {
			v.cmd.Process.Kill()
			v.cmd.Wait()
		}
	})
	if !v.out.Scan() {
		t.Fatalf("the victim has not come up: %v\n%s", v.cmd.Wait(), v.log.Bytes())
	}
	pub, sub, _ := strings.Cut(strings.ReplaceAll(v.out.Text(), "tcp://", ""), " ")
	v.pub, v.sub = pub, sub
	return v
}

// end asks the victim for its account, and checks what must hold whatever was done
// to it. 0 is no bound for its memory.
func (v *victim) end(memory int) account {
	v.Helper()
	resident := v.resident()
	v.stdin.Close()
	var all account
	var rest []string
	for v.out.Scan() {
		if json.Unmarshal(v.out.Bytes(), &all) != nil {
			rest = append(rest, v.out.Text())
		}
	}
	if err := v.cmd.Wait(); err != nil {
		v.Fatalf("the victim: %v\n%s\n%s", err, strings.Join(rest, "\n"), v.log.Bytes())
	}
	if all.Complaint != "" || all.Received != all.Published || all.Collected != all.Sent {
		v.Errorf("honest peers got %d of %d, and %d of %d: %s", all.Received, all.Published, all.Collected, all.Sent, all.Complaint)
	}
	v.Logf("%d and %d honest events; at most %d MiB resident, %d MiB of heap", all.Published, all.Sent, resident>>20, all.Heap>>20)
	if memory > 0 && !raceEnabled && (resident > memory || int(all.Heap) > memory) {
		v.Errorf("the victim had up to %d bytes resident and %d bytes of heap in use, want at most %d", resident, all.Heap, memory)
	}
	return all
}

// resident is the most memory that the victim has had; 0 where the system does not tell.
func (v *victim) resident() int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.cmd.Process.Pid))
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.Atoi(fields[0])
	return kib << 10
}

// call connects to one of the victim's addresses.
func (v *victim) call(address string) *rogue {
	v.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		v.Fatal(err)
	}
	r := &rogue{c.(*net.TCPConn)}
	r.SetDeadline(time.Now().Add(patience))
	return r
}
