package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk/wal"
)

// lockDir locks a directory, so that only one engine uses it.
func lockDir(fs vfs.FS, dir string) (io.Closer, error) {
	name := fs.PathJoin(dir, lockFile)
	lock, err := fs.Lock(name)
	if err == nil {
		return lock, nil
	}
	if path := new(os.PathError); errors.As(err, &path) {
		return nil, fmt.Errorf("disk: %w", err) // the lock file cannot be created
	}
	for _, other := range [...]error{os.ErrPermission, syscall.ENOLCK, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.EIO} {
		if errors.Is(err, other) {
			return nil, fmt.Errorf("disk: %s cannot be locked: %w", name, err)
		}
	}
	return nil, fmt.Errorf("%w: %s: %w", ErrInUse, dir, err)
}

// checkFormat returns the format of an engine directory. It returns 0 if dir is empty or its
// creation was interrupted.
func checkFormat(fs vfs.FS, dir string) (format int, err error) {
	name := fs.PathJoin(dir, formatFile)
	text, err := wal.ReadFile(fs, name)
	if errors.Is(err, os.ErrNotExist) {
		return 0, checkEmpty(fs, dir)
	}
	if err != nil {
		return 0, fmt.Errorf("disk: %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) < 2 || words[0] != formatName {
		return 0, fmt.Errorf("%w: %s does not say %q", wal.ErrDamaged, name, formatName)
	}
	number, err := strconv.Atoi(words[1])
	switch {
	case err != nil || number < 1:
		return 0, fmt.Errorf("%w: %s: no number of a format", wal.ErrDamaged, name)
	case number > formatNow:
		return 0, fmt.Errorf("disk: %s was written by a newer version: its format is %d, this program knows %d", dir, number, formatNow)
	case len(words) > 2:
		return 0, nil
	}
	return number, nil
}

// checkEmpty returns an error if a directory contains anything that an engine did not put
// there.
func checkEmpty(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	for _, name := range names {
		switch name {
		case lockFile, formatFile + ".new", "lost+found":
		default:
			return fmt.Errorf("disk: %s is neither empty nor an engine's: it has %q and no %s", dir, name, formatFile)
		}
	}
	return nil
}

func writeFormat(fs vfs.FS, dir, rest string) error {
	name := fs.PathJoin(dir, formatFile)
	file, err := fs.Create(name+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s %d%s\n", formatName, formatNow, rest)
	if err := firstOf(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := fs.Rename(name+".new", name); err != nil {
		return err
	}
	return wal.SyncDir(fs, dir)
}
