package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine says where the figures come from.
type Machine struct {
	Date      time.Time `json:"date"`
	CPU       string    `json:"cpu"`
	Cores     int       `json:"cores"`
	Kernel    string    `json:"kernel"`
	Go        string    `json:"go"`
	Libzmq    string    `json:"libzmq,omitempty"` // empty where there is none
	OpenFiles uint64    `json:"open_files"`       // the limit per process
}

// describeMachine looks at this one.
func describeMachine(libzmq string, openFiles uint64) Machine {
	return Machine{
		Date: time.Now().UTC().Truncate(time.Second), CPU: cpuName(), Cores: runtime.NumCPU(),
		Kernel: output("uname", "-srm"), Go: runtime.Version(), Libzmq: libzmq, OpenFiles: openFiles,
	}
}

// String is one line about the machine.
func (m Machine) String() string {
	libzmq := m.Libzmq
	if libzmq == "" {
		libzmq = "none"
	}
	return fmt.Sprintf("%s, %d cores, %s, %s, libzmq %s, %s", m.CPU, m.Cores, m.Kernel, m.Go, libzmq, m.Date.Format(time.DateOnly))
}

// cpuName is the processor's model.
func cpuName() string {
	if runtime.GOOS == "darwin" {
		return output("sysctl", "-n", "machdep.cpu.brand_string")
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// output is what a command prints, or "unknown".
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
