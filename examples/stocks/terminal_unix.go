//go:build linux || darwin || freebsd || netbsd

package main

import (
	"os"
	"syscall"
	"unsafe"
)

// terminalSize asks the kernel for the size of a terminal, in characters. It
// reports false if the file is none.
func terminalSize(f *os.File) (width, height int, ok bool) {
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 || size.columns == 0 || size.rows == 0 {
		return 0, 0, false
	}
	return int(size.columns), int(size.rows), true
}
