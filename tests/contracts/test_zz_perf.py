import time
from datetime import UTC, date, datetime, timedelta
from coulance.contracts import models, queries
from coulance.flows.contracts import fairness
from tests.contracts.desk import Desk, later
from tests.contracts.conftest import *  # noqa
def test_perf(desk: Desk):
    desk.agrees("k0","care")
    base=models.Contract.objects.get(key="k0")
    made=[]
    for n in range(1,500):
        c=models.Contract.objects.get(key="k0"); c.pk=None; c.key=f"c{n}"; c.starts_on=date(2024,1,1); made.append(c)
    models.Contract.objects.bulk_create(made)
    rows=[]
    for c in models.Contract.objects.exclude(key="k0"):
        for m in range(24):
            for k in range(3):
                at=datetime(2024,1,5,9,tzinfo=UTC)+timedelta(days=30*m+k)
                rows.append(models.Entry(contract=c,source_key=f"{c.key}/{m}/{k}",revision=1,began_at=at,seconds=1800*(1+(m*k+c.id)%5),who="a",work="corrective",free=False,text="",ticket="",removed=False,recorded_at=later(1),by="x",reason=""))
    models.Entry.objects.bulk_create(rows,batch_size=5000)
    t=time.process_time(); fairness.judge_all(at=later(30),years=500); print("CPU",time.process_time()-t,len(rows))
