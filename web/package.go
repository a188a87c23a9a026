package web

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"time"
)

// packed is the modification time of all files in the package. npm uses the same one, so
// that equal packages are equal files.
func packed() time.Time { return time.Date(1985, time.October, 26, 8, 15, 0, 0, time.UTC) }

// pack returns the npm package as npm pack makes it: a compressed archive whose files are in
// the folder package. The same files give the same bytes.
func pack() ([]byte, error) {
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zip)
	err = fs.WalkDir(embedded, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == "page":
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		content, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		head := tar.Header{Name: "package/" + name, Mode: 0o644, Size: int64(len(content)), ModTime: packed(), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(&head); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	err = zip.Close()
	return b.Bytes(), err
}
