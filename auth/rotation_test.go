package auth_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
)

// kidOf returns the kid that a token was signed with.
func kidOf(t *testing.T, token string, keys ...string) string {
	t.Helper()
	for _, kid := range keys {
		header := b64([]byte(`{"alg":"EdDSA","kid":"` + kid + `","typ":"at+jwt"}`))
		if strings.HasPrefix(token, header+".") {
			return kid
		}
	}
	t.Fatalf("the token is signed with none of the keys")
	return ""
}

// The whole life of a rotation: published, signing, retired, over.
func TestAuthority_rotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxTTL, ahead = time.Hour, 10 * time.Minute
		first := newKey(t, auth.EdDSA)
		path := keyFile(t, first.secret(t))
		a := newAuthority(t, auth.Options{Keys: loadKeys(t, path), MaxTTL: maxTTL})
		start := time.Now()
		second, err := auth.RotateFile(path, auth.EdDSA, ahead, maxTTL)
		if err != nil {
			t.Fatal(err)
		}
		stages := []struct {
			at        time.Duration // since the start
			signer    string
			published []string
		}{
			{0, first.kid(t), []string{first.kid(t), second}}, // the first look at the file
			{ahead - time.Second, first.kid(t), []string{first.kid(t), second}},
			{ahead, second, []string{first.kid(t), second}},
			{ahead + maxTTL + 29*time.Second, second, []string{first.kid(t), second}},
			{ahead + maxTTL + 30*time.Second, second, []string{second}},
		}
		for _, stage := range stages {
			time.Sleep(time.Until(start.Add(stage.at)))
			token := mint(t, a, time.Minute)
			if got := kidOf(t, token.Token, first.kid(t), second); got != stage.signer {
				t.Errorf("at %v: %s signs, want %s", stage.at, got, stage.signer)
			}
			mustAccept(t, a, token.Token)
			if got := strings.Count(string(a.JWKS()), `"kid"`); got != len(stage.published) {
				t.Errorf("at %v: %d keys are published, want %d", stage.at, got, len(stage.published))
			}
			for _, kid := range stage.published {
				if !strings.Contains(string(a.JWKS()), kid) {
					t.Errorf("at %v: %s is not published", stage.at, kid)
				}
			}
			byFirst := first.token(t, first.header(t), goodClaims().with(object{"exp": time.Now().Add(time.Minute).Unix()}))
			if len(stage.published) == 2 {
				mustAccept(t, a, byFirst)
			} else {
				mustRefuse(t, a, byFirst, "has no key with kid")
			}
		}
	})
}

// A token that is in the cache falls with its key.
func TestAuthority_rotation_retiredKeyWhileCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxTTL = time.Hour
		first, second := newKey(t, auth.EdDSA), newKey(t, auth.EdDSA)
		retires := time.Now().Add(maxTTL / 2)
		a := newAuthority(t, auth.Options{MaxTTL: maxTTL, Keys: loadKeys(t, keyFile(t,
			first.secret(t), second.secret(t).with(object{"nbf": retires.Add(-maxTTL - 30*time.Second).Unix()})))})
		token := first.token(t, first.header(t), goodClaims()) // longer than it should be
		mustAccept(t, a, token)
		mustAccept(t, a, token)
		if a.Stats().CacheHits != 1 {
			t.Fatalf("not cached: %+v", a.Stats())
		}
		time.Sleep(time.Until(retires))
		mustRefuse(t, a, token, "has no key with kid")
	})
}

func TestRotateFile_dropsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys.json")
		ring, err := auth.GenerateKey(auth.ES256)
		if err != nil {
			t.Fatal(err)
		}
		if err := auth.WriteKeyFile(path, ring); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o640)
		if os.Getenv(bareFiles) != "" {
			mode = 0o600
		} else if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(t.TempDir(), "link.json")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{2, 3, 2, 2} {
			if i > 1 {
				time.Sleep(2 * time.Hour)
			} else {
				time.Sleep(time.Second) // not two in one second
			}
			kid, err := auth.RotateFile(link, auth.EdDSA, time.Minute, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			got := loadKeys(t, path).String()
			if n := len(strings.Fields(got)); n != want || !strings.Contains(got, kid) {
				t.Errorf("rotation %d: %d keys, want %d", i, n, want)
			}
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Error("the link was replaced")
		}
	})
}

func TestRotateFile_refuses(t *testing.T) {
	path := keyFile(t, newKey(t, auth.EdDSA).secret(t))
	before, _ := os.ReadFile(path)
	if _, err := auth.RotateFile(path, auth.EdDSA, time.Second, 0); err == nil {
		t.Error("a key that nobody can have seen may sign")
	}
	if _, err := auth.RotateFile(path, "none", time.Hour, 0); err == nil {
		t.Error("alg none accepted")
	}
	if _, err := auth.RotateFile(path+".none", auth.EdDSA, time.Hour, 0); err == nil {
		t.Error("made a file where there was none")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}

func TestAuthority_changedKeyFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newKey(t, auth.EdDSA), newKey(t, auth.EdDSA)
		path := keyFile(t, first.secret(t))
		var log bytes.Buffer
		a := newAuthority(t, auth.Options{Keys: loadKeys(t, path), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		byFirst := mint(t, a, time.Hour).Token
		mustAccept(t, a, byFirst)
		bySecond := second.token(t, second.header(t), goodClaims())

		writeJSON(t, path, keySetOf(first.secret(t).with(object{"nbf": "broken"})))
		for range 3 { // kept, and said once
			time.Sleep(5 * time.Second)
			mustAccept(t, a, byFirst)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), path) {
			t.Errorf("%d log lines:\n%s", n, log.String())
		}
		mustNotQuote(t, log.String(), first.secret(t))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		mustAccept(t, a, byFirst)

		writeJSON(t, path, keySetOf(second.secret(t)))
		time.Sleep(5*time.Second - 1)
		mustAccept(t, a, byFirst) // not looked at yet
		time.Sleep(time.Nanosecond)
		mustRefuse(t, a, byFirst, "has no key with kid") // though it is in the cache
		mustAccept(t, a, bySecond)
		if got := kidOf(t, mint(t, a, time.Minute).Token, first.kid(t), second.kid(t)); got != second.kid(t) {
			t.Errorf("%s signs", got)
		}
	})
}
