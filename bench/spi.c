/*
 * The C worker that bench/spi.mjs measures ours beside. bench_spi_run(), an SQL function, registers a background worker of the database server's and waits for its
 * end; the worker runs the same transactions by SPI and writes what each took, in microseconds, to the table bench_spi_c. Built by bench/spi.mjs where
 * PostgreSQL's headers are installed (release 13 and later).
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(bench_spi_run);
PGDLLEXPORT void bench_spi_main(Datum arg);

/* What the SQL function tells the worker: fits into bgw_extra. */
typedef struct Request
{
	Oid			database;
	int32		transactions;
	int32		rows;
	char		query[BGW_EXTRALEN - 12];
} Request;

typedef enum Way { SELECT_ONE, PREPARED, UPDATE_ONE, ROWS } Way;

static SPIPlanPtr plan = NULL;

static void
must(bool ok, const char *what)
{
	if (!ok)
		elog(ERROR, "bench_spi: %s failed", what);
}

static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end(void)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Reads every value, as the other sides make one of each. */
static void
read_rows(const Request *request)
{
	must(SPI_execute(request->query, true, 0) == SPI_OK_SELECT && SPI_processed == (uint64) request->rows, "reading rows");
	for (uint64 i = 0; i < SPI_processed; i++)
		for (int column = 1; column <= 2; column++)
		{
			bool		isnull;

			(void) SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, column, &isnull);
		}
}

static double
run_once(Way way, const Request *request)
{
	instr_time	start;
	instr_time	stop;

	INSTR_TIME_SET_CURRENT(start);
	begin();
	switch (way)
	{
		case SELECT_ONE:
			must(SPI_execute("SELECT 1", true, 0) == SPI_OK_SELECT, "SELECT");
			break;
		case PREPARED:
			must(SPI_execute_plan(plan, NULL, NULL, true, 0) == SPI_OK_SELECT, "the plan");
			break;
		case UPDATE_ONE:
			must(SPI_execute("UPDATE bench_spi SET n = n + 1", false, 0) == SPI_OK_UPDATE, "UPDATE");
			break;
		case ROWS:
			read_rows(request);
			break;
	}
	end();
	INSTR_TIME_SET_CURRENT(stop);
	INSTR_TIME_SUBTRACT(stop, start);
	return INSTR_TIME_GET_DOUBLE(stop) * 1e6;
}

static void
measure(const char *name, Way way, const Request *request)
{
	int			count = way == ROWS ? 3 : request->transactions;
	int			warm = way == ROWS ? 2 : (count + 1) / 2;
	StringInfoData insert;

	initStringInfo(&insert);
	appendStringInfo(&insert, "INSERT INTO bench_spi_c VALUES ('%s', '{", name);
	for (int i = -warm; i < count; i++)
	{
		double		us = run_once(way, request);

		if (i >= 0)
			appendStringInfo(&insert, i == 0 ? "%.3f" : ",%.3f", us);
	}
	appendStringInfoString(&insert, "}')");
	begin();
	must(SPI_execute(insert.data, false, 0) == SPI_OK_INSERT, "INSERT");
	end();
}

void
bench_spi_main(Datum arg)
{
	Request		request;

	memcpy(&request, MyBgworkerEntry->bgw_extra, sizeof(request));
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(request.database, InvalidOid, 0);
	begin();
	plan = SPI_prepare("SELECT 1", 0, NULL);
	must(plan != NULL && SPI_keepplan(plan) == 0, "SPI_prepare");
	end();
	measure("select", SELECT_ONE, &request);
	measure("prepared", PREPARED, &request);
	measure("update", UPDATE_ONE, &request);
	measure("rows", ROWS, &request);
}

Datum
bench_spi_run(PG_FUNCTION_ARGS)
{
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle;
	Request		request = {0};

	request.database = MyDatabaseId;
	request.transactions = PG_GETARG_INT32(0);
	request.rows = PG_GETARG_INT32(1);
	strlcpy(request.query, text_to_cstring(PG_GETARG_TEXT_PP(2)), sizeof(request.query));
	strlcpy(worker.bgw_name, "bench_spi", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, text_to_cstring(PG_GETARG_TEXT_PP(3)), sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "bench_spi_main", BGW_MAXLEN);
	memcpy(worker.bgw_extra, &request, sizeof(request));
	worker.bgw_notify_pid = MyProcPid;
	must(RegisterDynamicBackgroundWorker(&worker, &handle), "RegisterDynamicBackgroundWorker");
	must(WaitForBackgroundWorkerShutdown(handle) == BGWH_STOPPED, "waiting");
	PG_RETURN_VOID();
}
