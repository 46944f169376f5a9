package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

//go:embed libzmq/peer.c
var libzmqSource []byte

// libzmq, the C library, in a C program: libzmq/peer.c.
var (
	libzmq2 = &System{
		Name: baseline, Kind: kindPeer, Frames: 2,
		About:    "libzmq from C, PUB and SUB, zmq_send and zmq_msg_recv, 2 frames, one I/O thread",
		Lossless: "ZMQ_XPUB_NODROP: the publisher waits at its high-water mark",
		Build:    buildLibzmq,
		Cannot:   func(*Case) string { return "" },
	}
	libzmq3 = &System{
		Name: baseline3, Kind: kindPeer, Frames: 3,
		About:    "the same with a third frame of 36 bytes, as Herald sends it",
		Lossless: libzmq2.Lossless,
		Build:    buildLibzmq,
		Cannot:   func(*Case) string { return "" },
	}
	libzmqBuilt = make(map[string]func() (string, error)) // by dir, once each
	libzmqMu    sync.Mutex
)

// buildLibzmq compiles the program, once.
func buildLibzmq(dir string) (string, error) {
	libzmqMu.Lock()
	build := libzmqBuilt[dir]
	if build == nil {
		build = sync.OnceValues(func() (string, error) { return compileLibzmq(dir) })
		libzmqBuilt[dir] = build
	}
	libzmqMu.Unlock()
	return build()
}

func compileLibzmq(dir string) (string, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", fmt.Errorf("there is no C compiler: apt-get install gcc libzmq3-dev")
	}
	source, program := filepath.Join(dir, "peer.c"), filepath.Join(dir, "libzmq-peer")
	if err := os.WriteFile(source, libzmqSource, 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command(cc, "-std=gnu11", "-O2", "-o", program, source, "-lzmq", "-lpthread").CombinedOutput()
	if err != nil {
		first, _, _ := strings.Cut(string(out), "\n")
		return "", fmt.Errorf("cc could not build it (apt-get install libzmq3-dev): %s", first)
	}
	return program, nil
}

// libzmqVersion is the version of the library that the program runs with.
func libzmqVersion(dir string) string {
	program, err := buildLibzmq(dir)
	if err != nil {
		return ""
	}
	out, err := exec.Command(program, "version").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
