/* What VOMS's C library says of chains: a line in has a trust directory, a vomsdir and a PEM file with a chain; a line
   out has "ok" and the FQANs, or "no" and the reason. Declared here is what of voms_apic.h that takes, so that the
   library alone is needed and not its headers. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct voms {
	int siglen;
	char *signature, *user, *userca, *server, *serverca, *voname, *uri, *date1, *date2;
	int type;
	void **std;
	char *custom;
	int datalen, version;
	char **fqan;
};

struct vomsdata {
	char *cdir, *vdir;
	struct voms **data;
};

extern struct vomsdata *VOMS_Init(char *voms, char *cert);
extern int VOMS_RetrieveFromFile(FILE *file, int how, struct vomsdata *vd, int *error);
extern char *VOMS_ErrorMessage(struct vomsdata *vd, int error, char *buffer, int len);

enum { RECURSE_CHAIN = 0 };

static void judge(char *certificates, char *vomsdir, char *path)
{
	int error = 0;
	char words[8192] = "";
	FILE *file = fopen(path, "r");
	struct vomsdata *vd = VOMS_Init(vomsdir, certificates);

	if (!file || !vd || !VOMS_RetrieveFromFile(file, RECURSE_CHAIN, vd, &error)) {
		if (vd)
			VOMS_ErrorMessage(vd, error, words, sizeof words);
		for (char *c = words; *c; c++)
			if (*c == '\n')
				*c = ' ';
		printf("no %s\n", words);
		return;
	}
	printf("ok");
	for (struct voms **v = vd->data; v && *v; v++)
		for (char **f = (*v)->fqan; f && *f; f++)
			printf(" %s", *f);
	printf("\n");
}

/* Each chain has a process of its own: the library ends some of them. */
int main(void)
{
	char line[8192];

	while (fgets(line, sizeof line, stdin)) {
		char *certificates = strtok(line, "\t\n"), *vomsdir = strtok(NULL, "\t\n"), *path = strtok(NULL, "\t\n");
		int status;

		fflush(stdout);
		if (fork() == 0) {
			judge(certificates, vomsdir, path);
			fflush(stdout);
			_exit(0);
		}
		wait(&status);
		if (!WIFEXITED(status)) {
			printf("no it crashed with signal %d\n", WTERMSIG(status));
			fflush(stdout);
		}
	}
	return 0;
}
